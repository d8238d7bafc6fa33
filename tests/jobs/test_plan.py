import json
from pathlib import Path

import pytest

from cluster.resources import Group, Offer
from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.devices import uses_gpus
from jobs.estimates import MEASURED, STAGES, count_images, estimate
from jobs.pipeline import stages
from jobs.plan import plan
from jobs.presets import PRESETS, coco_panoptic, shapes, smoke
from pading.config import override

TWO_CORES = Offer(place="this machine", nodes=(("", {"CPU": 2.0}),))


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.plan.offered", lambda: TWO_CORES)


def lines_of(config: PipelineConfig, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Plan a whole run and return the line of each stage, and of the sums."""
    plan(config, RunDir(folder), first="", last="", force=False)
    lines = capsys.readouterr().out.splitlines()
    return {line.split()[0].rstrip(","): line for line in lines if not line.startswith((" ", "{", "}"))}


def test_a_plan_says_needs_times_and_sizes_and_that_they_are_estimates(
    two_cores: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(smoke(), tmp_path / "run", capsys)
    assert "this machine: 1 nodes with 2 CPU; GPUs are not used" in lines["this"]
    assert "2 x (0.5 CPU) + 1 x (1 CPU)" in lines["cache"]
    assert "~" in lines["pretrain"]
    assert lines["estimate"].startswith("estimate, from estimates.json: ")
    assert "free" in lines["estimate"]
    assert not (tmp_path / "run").exists()


def test_a_plan_that_cannot_be_placed_fails_and_names_every_stage_and_what_to_do(
    two_cores: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = override(smoke(), {"pretrain.workers": 8, "pretrain.cpus_per_worker": 0.5, "cache.cpus_per_actor": 1.0})
    with pytest.raises(
        ValueError, match=r"^pretrain \(8 x \(0\.5 CPU\) asked, room for 4\); cache \(.*--cache\.actors"
    ):
        plan(config, RunDir(tmp_path / "run"), first="", last="", force=False)
    assert "leaderboard" in capsys.readouterr().out  # the whole plan is shown first
    plan(config, RunDir(tmp_path / "run"), first="", last="embed", force=False)  # a part that fits may be planned


def test_what_an_autoscaler_may_start_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = Group(name="cpu", max_nodes=3, resources={"CPU": 4.0})
    monkeypatch.setattr("jobs.plan.offered", lambda: Offer(place="the cluster", nodes=(), groups=(group,)))
    lines = lines_of(override(smoke(), {"pretrain.workers": 8}), tmp_path / "run", capsys)
    assert "may grow to 3 of 'cpu'" in lines["the"]


def test_what_was_never_measured_has_no_time(
    two_cores: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = override(coco_panoptic(), {"segmenter.backbone": "resnet18"})
    lines = lines_of(config, tmp_path / "run", capsys)
    assert "unknown" in lines["pretrain"]
    assert "unknown" not in lines["fit"]
    assert "without pretrain, cache, of which nothing like it was measured" in lines["estimate"]
    assert estimate("pretrain", coco_panoptic(), TWO_CORES, has_gpus=True).seconds is None
    assert estimate("flight", smoke(), TWO_CORES, has_gpus=False).seconds is None


def test_images_are_counted_as_drawn_published_or_found(tmp_path: Path) -> None:
    assert count_images(smoke()) == (96, 60, 24)  # 38 % of 96 show unseen classes
    assert count_images(coco_panoptic()) == (118_287, 45_617, 5_000)
    for folder, number in (("train2017", 7), ("val2017", 3)):
        (tmp_path / folder).mkdir()
        for image in range(number):
            (tmp_path / folder / f"{image}.jpg").touch()
    assert count_images(override(coco_panoptic(), {"data.root": str(tmp_path)})) == (7, 7, 3)
    assert count_images(override(coco_panoptic(), {"data.train": "elsewhere"})) is None


@pytest.mark.parametrize("preset", PRESETS)
def test_every_stage_of_every_preset_says_what_it_needs(preset: str) -> None:
    config = PRESETS[preset]()
    for stage in stages(config):
        for has_gpus in (False, True):
            requests = stage.needs(config, has_gpus)
            assert requests
            assert all(request.count > 0 and request.resources.get("CPU", 0) > 0 for request in requests)
        is_on_gpu = any("GPU" in request.resources for request in stage.needs(config, True))
        assert is_on_gpu == (stage.name in ("pretrain", "cache", "regions")), stage.name


def test_estimates_grow_with_the_work_and_shrink_with_the_machine() -> None:
    small = estimate("pretrain", shapes(), TWO_CORES, has_gpus=False)
    longer = estimate("pretrain", override(shapes(), {"pretrain.epochs": 26}), TWO_CORES, has_gpus=False)
    larger = estimate("pretrain", override(shapes(), {"data.input_px": 192}), TWO_CORES, has_gpus=False)
    assert small.seconds
    assert longer.seconds
    assert larger.seconds
    start = json.loads(MEASURED.read_text())["start_s"]["stages"]["pretrain"]
    assert longer.seconds - start == pytest.approx(2 * (small.seconds - start))
    assert larger.seconds - start == pytest.approx(4 * (small.seconds - start))
    wider = Offer(place="", nodes=(("", {"CPU": 8.0}),))
    evaluations = [estimate("evaluate", shapes(), offer, has_gpus=False).seconds for offer in (TWO_CORES, wider)]
    assert evaluations[1] < evaluations[0]


def test_the_demo_is_estimated_at_what_it_took() -> None:
    """The costs were measured on it: 693 s of stages, of which start-up is counted twice.

    Since then the image branch came, 17 s, and a CLIP that takes 18 s more.
    """
    measured = 693 + 17 + 18
    total = sum(estimate(name, shapes(), TWO_CORES, has_gpus=False).seconds for name in STAGES)
    assert measured < total < measured + 2 * sum(json.loads(MEASURED.read_text())["start_s"]["stages"].values())


def test_every_group_of_costs_names_its_source() -> None:
    costs = json.loads(MEASURED.read_text())
    groups = [costs["start_s"], *costs["images"].values(), *costs["segmenters"].values(), costs["fits"], costs["bytes"]]
    assert all(group["source"] for group in groups)


def test_a_driver_without_a_gpu_uses_those_of_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu_nodes = Group(name="gpu", max_nodes=1, resources={"CPU": 8.0, "GPU": 1.0})
    none, some = TWO_CORES, Offer(place="the cluster", nodes=(("", {"CPU": 2.0}),), groups=(gpu_nodes,))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", "12.8")
    assert uses_gpus(some)
    assert not uses_gpus(none)
    monkeypatch.setattr("torch.version.cuda", None)  # a build that could not use them
    assert not uses_gpus(some)
