"""The stage `evaluate` on the finished run: which files it writes, and that they say the same thing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cluster.storage import RunDir
from jobs.__main__ import main
from jobs.config import calibrated_inference, read_config
from pading.classes import ClassTable
from pading.config import override
from pading.evaluate.curve import PENALTIES, area_under, with_ends
from pading.evaluate.score_files import read_scores

MAIN = {"panoptic": "pq", "semantic": "miou", "instance": "ap50"}
FILES = {
    *("rows.json", "curves.json", "per_class.json", "comparisons.json"),
    *("panels.png", "panels", "scores", "manifest.json"),
}


def read(run_dir: Path, name: str):
    return json.loads((run_dir / "evaluation" / name).read_text())


def identity(row: dict) -> tuple:
    return tuple(row[name] for name in ("task", "method", "profile", "seed"))


def test_the_files_of_an_evaluation_tell_of_the_same_rows(smoke_run: Path) -> None:
    assert {path.name for path in (smoke_run / "evaluation").iterdir()} == FILES
    rows, per_class = read(smoke_run, "rows.json"), read(smoke_run, "per_class.json")
    assert [identity(row) for row in per_class["rows"]] == [identity(row) for row in rows]
    curves = {identity(curve): curve for curve in read(smoke_run, "curves.json")}
    assert curves.keys() == {identity(row) for row in rows if row["task"] != "instance"}
    classes = ClassTable.from_json((smoke_run / "shards" / "classes.json").read_text())
    assert [one["is_seen"] for one in per_class["classes"]] == list(classes.is_seen)
    for row, values in zip(rows, per_class["rows"], strict=True):
        quality = MAIN[row["task"]]
        own = np.array([np.nan if v is None else v for v in values["values"][quality]])
        assert np.nanmean(own[list(classes.seen)]) == pytest.approx(row["metrics"][f"{quality}/seen"])
        assert list(row["intervals"]) == [f"{quality}/{group}" for group in ("seen", "unseen", "hm")]
        low, high = row["intervals"][f"{quality}/seen"]
        assert 0 <= low <= high <= 100
        if row["task"] != "instance":
            curve = curves[identity(row)]
            assert curve["seen_penalty"] == list(with_ends(PENALTIES))
            area = area_under(np.array(curve["seen"]), np.array(curve["unseen"]))
            assert row["metrics"][f"{quality}/ausuc"] == curve["ausuc"] == pytest.approx(area)
        assert f"zsi/{quality}/unseen" in row["metrics"]


def test_each_pair_of_rows_is_compared_once_in_every_task(smoke_run: Path) -> None:
    methods = [row["method"] for row in read(smoke_run, "rows.json") if row["task"] == "panoptic"]
    found = read(smoke_run, "comparisons.json")
    for task, quality in MAIN.items():
        pairs = [(one["first"]["method"], one["second"]["method"]) for one in found if one["task"] == task]
        assert set(pairs) == {(a, b) for i, a in enumerate(methods) for b in methods[:i]}
        assert len(pairs) == len(set(pairs))
        assert {one["quality"] for one in found if one["task"] == task} == {quality}
    rows = {row["method"]: row["metrics"] for row in read(smoke_run, "rows.json") if row["task"] == "panoptic"}
    for one in (one for one in found if one["task"] == "panoptic"):
        expected = rows[one["first"]["method"]]["pq/seen"] - rows[one["second"]["method"]]["pq/seen"]
        assert one["seen"]["difference"] == pytest.approx(expected, abs=1e-9)
        assert set(one["seen"]) == {"difference", "low", "high", "probability_better", "seeds_better", "num_seeds"}


def test_the_scores_of_a_row_are_kept_by_image(smoke_run: Path) -> None:
    classes = ClassTable.from_json((smoke_run / "shards" / "classes.json").read_text())
    for row in (row for row in read(smoke_run, "rows.json") if row["task"] == "panoptic"):
        name = f"{row['method']}-{row['profile']}-seed{row['seed']}.npz"
        (scores,) = read_scores(smoke_run / "evaluation" / "scores" / name, classes)
        panoptic = scores.generalised["panoptic"]
        quality = panoptic.quality("pq", np.ones((1, len(panoptic.image_ids))))[0]
        assert 100 * np.nanmean(quality[list(classes.seen)]) == pytest.approx(row["metrics"]["pq/seen"])


def test_a_calibration_that_is_asked_for_has_rows_of_its_own(smoke_run: Path, tmp_path: Path) -> None:
    """A penalty that is on the curve: the row is that point of it. Asked of one task, without a curve of its own."""
    copy = shutil.copytree(smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns("work"))
    flags = ["--evaluate.seen-penalty", "0.9", "--evaluate.tasks", "panoptic", "--evaluate.resamples", "20"]
    assert main(["evaluate", "smoke", "--run-dir", str(copy), "--force", *flags]) == 0
    rows = {row["method"]: row["metrics"] for row in read(copy, "rows.json")}
    curves = {curve["method"]: curve for curve in read(copy, "curves.json")}
    before = {row["method"]: row for row in read(smoke_run, "rows.json") if row["task"] == "panoptic"}
    assert set(rows) == set(before) | {f"{method}+cal" for method in before}
    at = with_ends(PENALTIES).index(0.9)
    for method, row in before.items():
        assert rows[method]["pq/seen"] == pytest.approx(row["metrics"]["pq/seen"], abs=1e-12)
        for group in ("seen", "unseen"):
            assert rows[f"{method}+cal"][f"pq/{group}"] == pytest.approx(curves[method][group][at], abs=1e-9)


def test_a_calibration_changes_only_what_it_names(smoke_run: Path) -> None:
    config = read_config(RunDir(smoke_run))
    assert calibrated_inference(config) is None
    changed = calibrated_inference(override(config, {"evaluate.unseen_score_threshold": 0.25}))
    assert changed == override(config.inference, {"unseen_score_threshold": 0.25})


@pytest.mark.parametrize(
    ("change", "message"),
    [({"evaluate.resamples": 0}, "resamples is 0"), ({"evaluate.calibration": (0.1, 0.1)}, "give each once")],
)
def test_settings_that_mean_nothing_are_refused(smoke_run: Path, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        override(read_config(RunDir(smoke_run)), change)
