import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import tyro
from safetensors.torch import save_file
from torch import nn

from cluster.storage import file_digest
from jobs.config import PipelineConfig, PretrainConfig
from jobs.initial_weights import check_architecture, initial_segmenter, outside_files, staged_start
from pading.classes import ClassTable
from pading.config import override
from pading.randomness import generator_for
from pading.segmenter.huggingface import save_huggingface
from pading.segmenter.initialisation import initialise
from pading.segmenter.pretrained import write_papers
from pading.segmenter.provenance import Provenance
from pading.segmenter.segmenter import Segmenter, SegmenterConfig, r50, tiny
from pading.segmenter.weights import save_segmenter
from pading.splits.published import find_split

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"width": 32, "queries": 3, "encoder_layers": 1, "decoder_layers": 1, "feedforward_width": 8, "heads": 2}
PUBLISHED = replace(r50(), encoder_feedforward_width=8, **SIZES)
TIMM = replace(tiny(), backbone="resnet18", queries=3, width=32)
CONFIG = PipelineConfig(preset="test", segmenter=SegmenterConfig(width=16, queries=4, decoder_layers=1))


def table(names: tuple[str, ...], unseen: tuple[str, ...]) -> ClassTable:
    ids, seen = tuple(range(len(names))), tuple(name not in unseen for name in names)
    return ClassTable(name="t", names=names, coco_ids=ids, is_thing=(True,) * len(names), is_seen=seen)


CLASSES = table(("dog", "tree-merged", "cow", "sky"), unseen=("cow",))


def is_equal(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def random_start(config: PipelineConfig, classes: ClassTable) -> Segmenter:
    segmenter = Segmenter(config.segmenter, classes.num_classes)
    return initialise(segmenter, generator_for(config.seed, "segmenter"))


def source_folder(folder: Path, classes: ClassTable, provenance: Provenance | None = None, seed: int = 7) -> Path:
    """A finished segmenter of ours."""
    save_segmenter(folder, random_start(replace(CONFIG, seed=seed), classes))
    write_papers(folder, classes, provenance or Provenance())
    return folder


def save_contiguous(state: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)


def starting_from(folder: Path | str, config: PipelineConfig = CONFIG) -> PipelineConfig:
    return override(config, {"pretrain.init_from": str(folder)})


def test_without_a_source_the_seed_alone_decides() -> None:
    segmenter, provenance = initial_segmenter(CONFIG, CLASSES)
    assert is_equal(segmenter, random_start(CONFIG, CLASSES))
    assert not is_equal(segmenter, random_start(replace(CONFIG, seed=1), CLASSES))
    assert provenance == Provenance()


def test_a_segmenter_of_ours_gives_all_but_the_rows_of_unseen_and_unknown_classes(tmp_path: Path) -> None:
    folder = source_folder(tmp_path, table(("tree", "boat", "dog"), unseen=("boat",)))
    segmenter, provenance = initial_segmenter(starting_from(folder), CLASSES)
    source = random_start(replace(CONFIG, seed=7), table(("tree", "boat", "dog"), ()))
    start = random_start(CONFIG, CLASSES)
    torch.testing.assert_close(segmenter.backbone.state_dict(), source.backbone.state_dict(), rtol=0, atol=0)
    rows, theirs, random = (each.class_head.weight for each in (segmenter, source, start))
    assert torch.equal(rows[[0, 1, 4]], theirs[[2, 0, 3]])  # no-object last
    assert torch.equal(rows[[2, 3]], random[[2, 3]])
    assert provenance == Provenance(
        source=str(folder),
        digest=file_digest(folder / "weights.safetensors"),
        trained_names=("tree", "dog"),
        num_kept=2,
    )


@pytest.mark.parametrize(
    ("classes", "origin", "reason"),
    [
        (table(("dog", "Cow"), ()), Provenance(), "it was trained on 1 of 1 unseen classes (cow)"),
        (table(("dog", "Cow"), ("Cow",)), Provenance(), ""),
        (table(("dog",), ()), Provenance(source="x", trained_names=("cattle, cow",)), "it was trained on 1 of 1"),
        (table(("dog",), ()), Provenance(leaky=True, reason="so"), "it was leaky itself: so"),
    ],
    ids=["trained", "unseen there too", "started from", "inherited"],
)
def test_a_source_is_leaky_by_its_seen_classes_or_its_own_start(
    classes: ClassTable, origin: Provenance, reason: str, tmp_path: Path
) -> None:
    segmenter, provenance = initial_segmenter(starting_from(source_folder(tmp_path, classes, origin)), CLASSES)
    assert provenance.leaky is bool(reason)
    assert provenance.reason.startswith(reason)
    start = random_start(CONFIG, CLASSES)
    assert torch.equal(segmenter.class_head.weight[2], start.class_head.weight[2])  # cow: leaky or not, never its row
    assert torch.equal(segmenter.class_head.bias[2], start.class_head.bias[2])


def test_published_weights_of_coco_are_marked_on_the_published_split(tmp_path: Path) -> None:
    classes = find_split("coco-panoptic-119-14").classes
    source = Segmenter(PUBLISHED, classes.num_classes)
    config = starting_from(tmp_path, replace(CONFIG, segmenter=PUBLISHED))
    save_huggingface(tmp_path, source, classes.names)
    segmenter, provenance = initial_segmenter(config, classes)
    assert provenance.leaky
    assert provenance.num_kept == len(classes.seen) == 119
    assert provenance.unseen_names == tuple(classes.names[index] for index in classes.unseen)
    seen, unseen = list(classes.seen), list(classes.unseen)
    assert torch.equal(segmenter.class_head.weight[seen], source.class_head.weight[seen])
    assert not (segmenter.class_head.weight[unseen] == source.class_head.weight[unseen]).any()


def test_a_source_that_does_not_say_what_it_knew_is_leaky_and_keeps_no_row(tmp_path: Path) -> None:
    save_segmenter(tmp_path, random_start(replace(CONFIG, seed=7), CLASSES))
    segmenter, provenance = initial_segmenter(starting_from(tmp_path), CLASSES)
    assert (provenance.leaky, provenance.reason, provenance.num_kept) == (True, "its classes are not known", 0)
    assert torch.equal(segmenter.class_head.weight[:4], random_start(CONFIG, CLASSES).class_head.weight[:4])


def test_another_architecture_is_refused_with_the_options_that_would_fit(tmp_path: Path) -> None:
    wanted = replace(CONFIG.segmenter, backbone_channels=(32, 64), backbone_blocks=(1, 2), cell_head=False)
    save_segmenter(tmp_path, Segmenter(wanted, 4))
    with pytest.raises(
        ValueError, match=r"segmenter\.backbone_channels \(32, 64\), this run \(48, 96, 128\)"
    ) as raised:
        initial_segmenter(starting_from(tmp_path), CLASSES)
    options = shlex.split(str(raised.value).split("; give ")[1])
    assert tyro.cli(PipelineConfig, default=CONFIG, args=options).segmenter == wanted
    back = shlex.split(refusal(CONFIG.segmenter, wanted).split("; give ")[1])
    assert tyro.cli(PipelineConfig, default=replace(CONFIG, segmenter=wanted), args=back).segmenter == CONFIG.segmenter


def refusal(found: SegmenterConfig, wanted: SegmenterConfig) -> str:
    with pytest.raises(ValueError, match="source has segmenter") as raised:
        check_architecture(found, wanted, "source")
    return str(raised.value)


def test_what_matters_in_training_only_may_differ() -> None:
    check_architecture(replace(PUBLISHED, drop_path_rate=0.3), PUBLISHED, "source")


def test_a_backbone_comes_from_a_file_and_the_rest_from_the_seed(tmp_path: Path) -> None:
    config = replace(CONFIG, segmenter=TIMM)
    other = random_start(replace(config, seed=5), CLASSES).backbone.network.state_dict()
    save_contiguous(other, tmp_path / "r18.safetensors")
    changed = override(config, {"pretrain.backbone_weights": str(tmp_path / "r18.safetensors")})
    segmenter, provenance = initial_segmenter(changed, CLASSES)
    torch.testing.assert_close(segmenter.backbone.network.state_dict(), other, rtol=0, atol=0)
    start = random_start(config, CLASSES)
    for part in ("pixel_decoder", "mask_decoder", "class_head"):
        assert is_equal(getattr(segmenter, part), getattr(start, part))
    digest = file_digest(tmp_path / "r18.safetensors")
    assert provenance == Provenance(backbone=str(tmp_path / "r18.safetensors"), backbone_digest=digest)


def test_a_backbone_of_ours_has_no_published_weights() -> None:
    with pytest.raises(
        ValueError, match=r"needs a network of timm, not 'conv'; choose one, such as --segmenter\.backbone"
    ):
        initial_segmenter(override(CONFIG, {"pretrain.backbone_weights": "hub"}), CLASSES)


def test_two_sources_of_one_backbone_are_refused() -> None:
    with pytest.raises(ValueError, match="init_from 'a/b' holds a backbone already; leave backbone_weights 'hub' out"):
        PretrainConfig(init_from="a/b", backbone_weights="hub")


def test_a_staged_start_is_the_same_start_and_needs_its_source_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = source_folder(tmp_path / "source", table(("tree", "cow", "dog"), ()))
    config = starting_from(folder)
    wanted, provenance = initial_segmenter(config, CLASSES)
    staged, said = staged_start(config, CLASSES, tmp_path / "work" / "start")
    assert said == provenance
    assert staged.pretrain.init_from == str(tmp_path / "work" / "start")
    shutil.rmtree(folder)
    assert is_equal(initial_segmenter(staged, CLASSES)[0], wanted)
    before = capsys.readouterr().out
    assert before.count("WARNING: NOT A ZERO-SHOT RUN: it was trained on 1 of 1 unseen classes (cow)") == 1
    assert "the class head keeps the rows of 2 of 3 seen classes" in before
    assert staged_start(config, CLASSES, tmp_path / "work" / "start") == (staged, provenance)  # resumed
    assert capsys.readouterr().out == before


def test_a_backbone_is_staged_as_a_whole_segmenter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(CONFIG, segmenter=TIMM)
    other = random_start(replace(config, seed=5), CLASSES).backbone.network.state_dict()
    save_contiguous(other, tmp_path / "b.safetensors")
    config = override(config, {"pretrain.backbone_weights": str(tmp_path / "b.safetensors")})
    wanted, provenance = initial_segmenter(config, CLASSES)
    staged, said = staged_start(config, CLASSES, tmp_path / "start")
    assert (said, staged.pretrain.backbone_weights) == (provenance, "")
    assert is_equal(initial_segmenter(staged, CLASSES)[0], wanted)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"  starts from {provenance.line}"]
    assert not provenance.leaky


def test_a_random_start_is_not_staged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert staged_start(CONFIG, CLASSES, tmp_path / "start") == (CONFIG, Provenance())
    assert not (tmp_path / "start").exists()
    assert capsys.readouterr().out == ""


def test_what_a_start_depends_on_is_part_of_the_stage(tmp_path: Path) -> None:
    folder = source_folder(tmp_path / "source", CLASSES)
    before = outside_files(starting_from(folder))
    names = ("weights.safetensors", "classes.json", "provenance.json", "config.json")
    assert before == {f"init_from:{name}": file_digest(folder / name) for name in names}
    write_papers(folder, CLASSES, Provenance(leaky=True, reason="so"))
    after = outside_files(starting_from(folder))
    assert {name for name in before if before[name] != after[name]} == {"init_from:provenance.json"}
    assert outside_files(CONFIG) == outside_files(starting_from("owner/name")) == {}
    assert outside_files(override(CONFIG, {"pretrain.backbone_weights": "hub"})) == {}
    file = override(CONFIG, {"pretrain.backbone_weights": str(folder / "config.json")})
    assert outside_files(file) == {"backbone_weights:config.json": file_digest(folder / "config.json")}


def test_a_source_that_is_not_there_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none: no such folder, nor a hub id .*; check --pretrain.init-from"):
        outside_files(starting_from(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"none: no such file of weights; check --pretrain.backbone-weights"):
        outside_files(override(CONFIG, {"pretrain.backbone_weights": str(tmp_path / "none")}))


PUBLISHED_BY_TIMM = """
import json, sys, dataclasses
from pathlib import Path
import torch
from safetensors.torch import save_file
from jobs.initial_weights import initial_segmenter
from jobs.config import PipelineConfig
from pading.classes import ClassTable
from pading.config import override
from pading.segmenter.timm_backbone import TimmBackbone

classes = ClassTable(name="t", names=("a", "b"), coco_ids=(1, 2), is_thing=(True, True), is_seen=(True, False))
config = override(
    PipelineConfig(preset="test"), {"segmenter.backbone": "resnet18", "pretrain.backbone_weights": "hub"}
)
try:
    initial_segmenter(config, classes)
except OSError as error:
    print(json.dumps(str(error)))

import timm
theirs = timm.create_model("resnet18")
commit = "0" * 40
home = Path(sys.argv[1]) / "hub" / f"models--{theirs.pretrained_cfg['hf_hub_id'].replace('/', '--')}"
(home / "refs").mkdir(parents=True)
(home / "refs" / "main").write_text(commit)
(home / "snapshots" / commit).mkdir(parents=True)
save_file(theirs.state_dict(), home / "snapshots" / commit / "model.safetensors")
segmenter, provenance = initial_segmenter(config, classes)
own = segmenter.backbone.network.state_dict()
same = all(torch.equal(own[name], theirs.state_dict()[name]) for name in own)
print(json.dumps([same, len(own), dataclasses.asdict(provenance)]))
"""


@pytest.mark.slow
def test_weights_that_timm_publishes_come_from_its_cache_or_are_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-c", PUBLISHED_BY_TIMM, str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    message, (is_theirs, num_tensors, provenance) = map(json.loads, done.stdout.splitlines())
    assert message.startswith("timm does not give weights of resnet18 (")
    assert message.endswith("check the network, or give a file by --pretrain.backbone-weights FILE")
    assert is_theirs
    assert num_tensors > 50
    assert provenance["backbone"] == "timm resnet18"
    assert len(provenance["backbone_digest"]) == 16
    assert not provenance["leaky"]
