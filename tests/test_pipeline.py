"""The whole route at toy size: what each stage leaves behind, and that a second run finds it."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from cluster.storage import Manifest
from jobs.__main__ import main
from pading.classes import ClassTable
from pading.data.shards.audit import LeakAudit
from pading.data.shards.rows import decode_row, read_rows
from pading.data.views.batch import batch_arrays
from pading.data.views.jitter import letterbox_view
from pading.evaluate.instance import INSTANCE_QUALITIES
from pading.evaluate.leaderboard import read_leaderboard
from pading.zeroshot.features import read_features

STAGES = [
    "shapes",
    "verify",
    "shard",
    "embed",
    "pretrain",
    "cache",
    "regions",
    "sweep",
    "fit",
    "evaluate",
    "leaderboard",
]
METHODS = {"supervised", "projection", "gmmn", "wgan", "primitive", "primitive+align", "pading"}
METHODS |= {"zegformer-seg", "zegformer-img", "zegformer", "zegformer-pooled", "pading+img"}
METRICS = [
    f"{name}/{group}" for name in ("pq", "sq", "rq", "miou", "ap50", "recall100") for group in ("seen", "unseen", "hm")
]

VIEWS = {"zero", "things", "stuff", "zsi"}


@pytest.fixture
def copied_run(smoke_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return shutil.copytree(smoke_run, tmp_path / "copy", ignore=shutil.ignore_patterns("work"))


def test_the_status_tells_every_stage(smoke_run: Path) -> None:
    status = json.loads((smoke_run / "status.json").read_text())
    assert (status["state"], status["preset"]) == ("succeeded", "smoke")
    assert [stage["name"] for stage in status["stages"]] == STAGES
    assert {stage["state"] for stage in status["stages"]} == {"succeeded"}
    assert all(Path(stage["output"], "manifest.json").is_file() and stage["seconds"] > 0 for stage in status["stages"])


def test_the_leaderboard_has_a_row_per_method_with_every_metric(smoke_run: Path) -> None:
    every_row = read_leaderboard(smoke_run / "leaderboard.json")
    rows = [row for row in every_row if row["task"] == "panoptic"]
    assert {row["method"] for row in rows} == METHODS
    assert all(set(METRICS) <= row["metrics"].keys() for row in rows)
    supervised = next(row for row in rows if row["method"] == "supervised")["metrics"]
    assert supervised["pq/unseen"] == supervised["miou/unseen"] == 0.0
    assert (smoke_run / "leaderboard.md").is_file()
    assert (smoke_run / "leaderboard.html").is_file()
    assert (smoke_run / "leaderboard" / "panels.png").stat().st_size > 10_000


def test_one_model_is_scored_as_three_tasks(smoke_run: Path) -> None:
    rows = read_leaderboard(smoke_run / "leaderboard.json")
    panoptic = {row["method"]: row["metrics"] for row in rows if row["task"] == "panoptic"}
    for task, qualities in (("semantic", {"miou"}), ("instance", set(INSTANCE_QUALITIES))):
        of_task = [row for row in rows if row["task"] == task]
        assert {row["method"] for row in of_task} == METHODS
        for row in of_task:
            assert {name.split("/")[0] for name in row["metrics"]} - VIEWS == qualities | {"recall50"}
            assert row["metrics"].items() <= panoptic[row["method"]].items()
    page = (smoke_run / "leaderboard.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## panoptic",
        "## semantic",
        "## instance",
    ]


@pytest.mark.parametrize(("task", "metric"), [("panoptic", "pq"), ("semantic", "miou"), ("instance", "ap50")])
def test_every_row_is_one_mlflow_run(smoke_run: Path, task: str, metric: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{smoke_run / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(f"pading/{task}")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["method"] for run in runs} == METHODS
    assert len(runs) == len(METHODS)
    for run in runs:
        assert {"profile", "split", "seed"} <= run.data.tags.keys()
        assert run.data.tags["stage"] == "evaluate"
        assert f"{metric}/seen" in run.data.metrics


def test_mlflow_has_the_pipeline_run_above_its_rows_and_the_sweep_above_its_trials(smoke_run: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{smoke_run / 'mlflow.db'}")
    ids = {experiment.name: experiment.experiment_id for experiment in client.search_experiments()}
    (whole,) = client.search_runs([ids["pading/runs"]])
    for task in ("panoptic", "semantic", "instance"):
        rows = client.search_runs([ids[f"pading/{task}"]])
        assert {run.data.tags["mlflow.parentRunId"] for run in rows} == {whole.info.run_id}
        digests = {(entry.dataset.name, entry.dataset.digest) for run in rows for entry in run.inputs.dataset_inputs}
        assert len(digests) == 2
    assert whole.data.metrics["num_rows"] == 3 * len(METHODS)
    pages = {file.path for file in client.list_artifacts(whole.info.run_id)}
    assert {"leaderboard.html", "config.json", "panels.png"} <= pages
    trials = json.loads((smoke_run / "sweep" / "trials.json").read_text())
    runs = client.search_runs([ids["pading/sweep"]])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (sweep,) = [run for run in runs if run not in children]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {sweep.info.run_id}
    assert len(children) == len(trials)
    best = json.loads((smoke_run / "sweep" / "best.json").read_text())["settings"]
    (chosen,) = [run for run in children if run.data.tags["is_chosen"] == "true"]
    assert chosen.data.params == {name: str(value) for name, value in best.items()}


def test_no_unseen_pixel_or_id_reaches_a_training_step(smoke_run: Path) -> None:
    """From the shards through the very arrays that a training step sees to the cached features."""
    classes = ClassTable.from_json((smoke_run / "shards" / "classes.json").read_text())
    unseen_ids = {classes.coco_ids[index] for index in classes.unseen}
    raw = json.loads((smoke_run / "shapes" / "annotations" / "panoptic_train2017.json").read_text())
    tainted = {a["image_id"] for a in raw["annotations"] if unseen_ids & {s["category_id"] for s in a["segments_info"]}}
    assert tainted  # the world does hold unseen classes, so that the filter has work to do
    rows = [row for path in sorted((smoke_run / "shards" / "train").glob("*.parquet")) for row in read_rows(path)]
    assert {row["image_id"] for row in rows} == {a["image_id"] for a in raw["annotations"]} - tainted
    for row in rows:
        sample = decode_row(row)
        assert set(np.unique(sample.label_map)) <= set(range(len(sample.segments) + 1))
        assert not {segment.class_index for segment in sample.segments} & set(classes.unseen)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    views = [letterbox_view(row["height"], row["width"], 96) for row in rows]
    arrays = batch_arrays(columns, views, 96, 24, has_background=False)
    assert not set(np.unique(arrays["classes"])) & set(classes.unseen)
    features = read_features(sorted((smoke_run / "cache" / "features").glob("*.parquet")))
    assert not set(features.labels.tolist()) & set(classes.unseen)
    assert set(features.image_ids.tolist()) <= {row["image_id"] for row in rows}
    file = smoke_run / "shards" / "leak_audit.json"
    audit = LeakAudit.from_json(file.read_text(), str(file)).tally
    assert (audit.num_images, audit.num_unseen_pixels) == (len(rows), 0)


def test_val_holds_every_image(smoke_run: Path) -> None:
    rows = [row for path in sorted((smoke_run / "shards" / "val").glob("*.parquet")) for row in read_rows(path)]
    raw = json.loads((smoke_run / "shapes" / "annotations" / "panoptic_val2017.json").read_text())
    assert [row["image_id"] for row in rows] == [image["id"] for image in raw["images"]]


def test_the_same_command_again_skips_every_stage_in_seconds(smoke_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in smoke_run.glob("*/manifest.json")}
    start = time.monotonic()
    assert main(["run", "smoke", "--run-dir", str(smoke_run)]) == 0
    assert time.monotonic() - start < 5
    status = json.loads((smoke_run / "status.json").read_text())
    assert {stage["state"] for stage in status["stages"]} == {"skipped"}
    assert before == {path: path.stat().st_mtime_ns for path in smoke_run.glob("*/manifest.json")}
    # what the other tests read
    for stage in status["stages"]:
        stage["state"], stage["seconds"] = "succeeded", 1.0
    (smoke_run / "status.json").write_text(json.dumps(status))


def test_other_settings_are_refused_and_named(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "smoke", "--run-dir", str(copied_run), "--method.generator.tau", "0.25"]
    assert main(arguments) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert "method.generator.tau" in stderr
    assert "--from sweep --force" in stderr
    assert json.loads((copied_run / "status.json").read_text())["state"] == "failed"


def test_force_redoes_the_chosen_stages_and_only_them(copied_run: Path) -> None:
    sharded = Manifest.read(copied_run / "shards")
    seconds = (copied_run / "evaluation" / "manifest.json").stat().st_mtime_ns
    assert main(["run", "smoke", "--run-dir", str(copied_run), "--from", "evaluate", "--force"]) == 0
    assert (copied_run / "evaluation" / "manifest.json").stat().st_mtime_ns > seconds
    assert Manifest.read(copied_run / "shards") == sharded
    first = json.loads((copied_run / "leaderboard.json").read_text())
    assert {row["method"] for row in first} == METHODS


def test_a_dry_run_prints_the_plan_and_touches_nothing(copied_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copied_run / "classifiers")
    assert main(["run", "smoke", "--run-dir", str(copied_run), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    plan = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line.split()[0] in STAGES}
    assert {stage for stage, line in plan.items() if line.startswith("to do")} == {"fit", "evaluate", "leaderboard"}
    assert {stage for stage, line in plan.items() if line.startswith("up to date")} == set(STAGES) - {
        "fit",
        "evaluate",
        "leaderboard",
    }
    assert not (copied_run / "classifiers").exists()


def test_predict_writes_coco_panoptic_files(smoke_run: Path, tmp_path: Path) -> None:
    photo = sorted((smoke_run / "shapes" / "val2017").glob("*.jpg"))[0]
    assert main(["predict", str(photo), "--run-dir", str(smoke_run), "--out", str(tmp_path / "out")]) == 0
    from PIL import Image

    result = json.loads((tmp_path / "out" / "panoptic.json").read_text())
    pixels = np.asarray(Image.open(tmp_path / "out" / f"{photo.stem}.png")).astype(int)
    ids = pixels[..., 0] + 256 * pixels[..., 1] + 65536 * pixels[..., 2]
    counted = {int(i): int((ids == i).sum()) for i in np.unique(ids) if i}
    assert {s["id"]: s["area"] for s in result["annotations"][0]["segments_info"]} == counted
    assert max(Image.open(tmp_path / "out" / f"{photo.stem}_overlay.png").size) >= 480  # legible


def test_predicted_classes_are_coco_ids_in_a_picture_of_their_own(smoke_run: Path, tmp_path: Path) -> None:
    from PIL import Image

    photo = sorted((smoke_run / "shapes" / "val2017").glob("*.jpg"))[1]
    assert main(["predict", str(photo), "--run-dir", str(smoke_run), "--out", str(tmp_path)]) == 0
    classes = ClassTable.from_json((smoke_run / "shards" / "classes.json").read_text())
    semantic = np.asarray(Image.open(tmp_path / f"{photo.stem}_semantic.png"))
    assert semantic.shape == Image.open(photo).size[::-1]
    assert set(np.unique(semantic)) <= set(classes.coco_ids)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "no verb 'fly'"),
        (["run", "moon"], "no preset 'moon'"),
        (["run", "coco-mini", "--run-dir", "{tmp}/r"], "give their folder by --data.root DIR"),
        (["run", "coco-mini", "--run-dir", "{tmp}/r", "--data.root", "{tmp}/none"], "no such folder"),
        (["run", "coco-mini", "--run-dir", "{tmp}/r", "--data.root", "{tmp}"], "annotations/panoptic_train2017.json"),
        (["fit", "smoke", "--run-dir", "{tmp}/r"], "run the stages before it first"),
        (["run", "smoke", "--run-dir", "{tmp}/r", "--from", "fit", "--until", "shard"], "comes after"),
        (["run", "smoke", "--run-dir", "{tmp}/r", "--from", "flight"], "no stage 'flight'"),
        (["predict", "x.jpg", "--run-dir", "{tmp}/r"], "give the --run-dir of a finished run"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_a_wrong_command_is_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(tmp=tmp_path) for argument in arguments]) != 0
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert stderr.startswith("error: ")
    assert message in stderr
