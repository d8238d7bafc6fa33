import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from pading.randomness import generator_for
from pading.zeroshot.fit_generator import synthesise
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.generator_files import KINDS, load_generator, save_generator
from pading.zeroshot.gmmn import Gmmn, GmmnConfig
from pading.zeroshot.standardise import Standardised

TEXT = torch.randn(5, 6, generator=generator_for(0, "text"))


def primitive(dropout: float = 0.0):
    config = PrimitiveConfig(num_primitives=7, heads=2, attention_temperature=3.0, dropout=dropout)
    return Standardised(PrimitiveGenerator(config, 6, 8, generator_for(0, "primitive")), TEXT)


def gmmn(dropout: float = 0.0):
    return Standardised(Gmmn(GmmnConfig(hidden=9, dropout=dropout), 6, 8, generator_for(0, "gmmn")), TEXT)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("build", [primitive, gmmn])
def test_a_generator_reads_back_and_draws_the_same_samples_bit_for_bit(tmp_path, build, dropout):
    generator = build(dropout)
    save_generator(tmp_path / "new" / "folder", generator)
    loaded = load_generator(tmp_path / "new" / "folder")
    again, first = (synthesise(one, TEXT, (0, 3), 4, seed=1).embeddings for one in (loaded, generator))
    assert torch.equal(again, first)
    assert loaded.generator.config == generator.generator.config


def test_every_kind_can_be_written_and_read(tmp_path):
    for name, kind in KINDS.items():
        save_generator(tmp_path, Standardised(kind.network(kind.config(), 6, 8, generator_for(0)), TEXT))
        assert type(load_generator(tmp_path).generator) is kind.network
        assert json.loads((tmp_path / "generator.json").read_text())["kind"] == name


def test_a_network_of_no_kind_is_refused(tmp_path):
    network = torch.nn.Linear(6, 8)
    network.noise_width = 8
    with pytest.raises(ValueError, match="a Linear cannot be saved: the kinds are primitive, gmmn"):
        save_generator(tmp_path, Standardised(network, TEXT))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", ["generator.json", "generator.safetensors"])
def test_a_missing_file_is_named(tmp_path, missing):
    save_generator(tmp_path, gmmn())
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{missing}: no such generator; fit the method again"):
        load_generator(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema 2, kind 'gmmn'; this code reads schema 1 of primitive, gmmn"),
        ({"kind": "diffusion"}, "kind 'diffusion'"),
        ({"kind": ["gmmn"]}, "unhashable"),
        ({"config": {"hidden": "many"}}, "hidden: 'many' is not int"),
        ({"config": {"depth": 3}}, "GmmnConfig has no field 'depth'"),
        ({"config": {"hidden": 0}}, "hidden width 0"),
        ({"config": {"hidden": 2**62}}, "does not describe a generator"),
        ({"width": -1}, "does not describe a generator"),
        ({"width": None}, "does not describe a generator"),
    ],
)
def test_a_description_that_makes_no_generator_is_named(tmp_path, change, said):
    save_generator(tmp_path, gmmn())
    path = tmp_path / "generator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=r"generator\.json: does not describe a generator") as caught:
        load_generator(tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": "gmmn"}'])
def test_a_description_that_is_no_description_is_named(tmp_path, text):
    save_generator(tmp_path, gmmn())
    (tmp_path / "generator.json").write_text(text)
    with pytest.raises(ValueError, match=r"generator\.json: does not describe a generator"):
        load_generator(tmp_path)


def test_weights_that_are_not_those_of_the_description_are_named(tmp_path):
    save_generator(tmp_path, gmmn())
    path = tmp_path / "generator.safetensors"
    good = load_file(path)
    for damaged, said in (
        ({name: value for name, value in good.items() if name != "offset"}, "such as 'offset'"),
        (good | {"more": torch.zeros(1)}, "such as 'more'"),
        (good | {"offset": torch.zeros(7)}, r"'offset' is torch.float32 \(7,\), generator.json says .* \(6,\)"),
        (good | {"offset": torch.zeros(6, dtype=torch.float64)}, r"'offset' is torch.float64"),
        (good | {"offset": torch.full((6,), torch.nan)}, "'offset' holds values that are not finite"),
    ):
        save_file(damaged, path)
        with pytest.raises(ValueError, match=rf"generator\.safetensors: .*{said}"):
            load_generator(tmp_path)
    path.write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"generator\.safetensors: is not a readable safetensors file"):
        load_generator(tmp_path)
