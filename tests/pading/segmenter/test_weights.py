import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from pading.segmenter.weights import load_segmenter, save_segmenter


@pytest.fixture
def folder(tmp_path, segmenter):
    save_segmenter(tmp_path / "segmenter", segmenter)
    return tmp_path / "segmenter"


def test_a_saved_segmenter_predicts_the_same_after_loading(folder, segmenter):
    loaded = load_segmenter(folder)
    images = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert loaded.config == segmenter.config
    assert not loaded.training
    torch.testing.assert_close(
        loaded(images)[-1].class_logits, segmenter.eval()(images)[-1].class_logits, rtol=0, atol=0
    )
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.safetensors"]


def test_a_channels_last_segmenter_is_saved_all_the_same(tmp_path, segmenter):
    save_segmenter(tmp_path, segmenter.to(memory_format=torch.channels_last))
    for name, tensor in load_segmenter(tmp_path).state_dict().items():
        assert torch.equal(tensor, segmenter.state_dict()[name])


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        load_segmenter(folder)


def test_damaged_weights_are_named(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"weights.safetensors is not a readable"):
        load_segmenter(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("class_head.bias"), r"weights.safetensors lacks 1 .* class_head.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), r"weights.safetensors holds 1 .* extra"),
        (
            lambda state: state.update({"class_head.bias": torch.zeros(3)}),
            r"class_head.bias has shape \(3,\), .* \(7,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_named(folder, change, message):
    state = load_file(folder / "weights.safetensors")
    change(state)
    save_file(state, folder / "weights.safetensors")
    with pytest.raises(ValueError, match=message):
        load_segmenter(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema=99), "schema 99"),
        (lambda d: d.pop("num_classes"), "num_classes"),
        (lambda d: d["config"].update(widht=3), "widht"),
        (lambda d: d["config"].update(width=33), "33"),
    ],
)
def test_a_description_that_cannot_be_built_is_named(folder, change, message):
    path = folder / "config.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))
    with pytest.raises(ValueError, match=rf"config.json does not describe a segmenter: .*{message}"):
        load_segmenter(folder)


def test_a_description_that_is_not_json_is_named(folder):
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json does not describe"):
        load_segmenter(folder)
