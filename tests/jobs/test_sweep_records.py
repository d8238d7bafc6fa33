"""What MLflow is told of a sweep."""

import json
import math
from pathlib import Path

from jobs.sweep_records import sweep_records
from pading.config import override
from tests.jobs.evaluated_run import make_run

HM = "accuracy/hm"


def trial(number: int, tau: float, score: float | None, state: str = "complete", error: str = "") -> dict:
    metrics = {} if score is None else {HM: score, "holdout/0": score}
    settings = {"generator.tau": tau, "primitive.num_primitives": 50}
    plain = {"number": number, "settings": settings, "state": state, "seconds": 1.5, "error": error}
    return {**plain, HM: score, "metrics": metrics}


TRIALS = [trial(4, 0.1, 0.8), trial(0, 0.2, 0.7), trial(2, 0.3, None, "failed", "RuntimeError: it broke")]
BEST = {**TRIALS[1], "is_current": True, "leaky": False, "verdict": None}


def records(folder: Path, trials: list[dict] = TRIALS, best: dict = BEST, **changes) -> list:
    config, run_dir = make_run(folder, [])
    config = override(config, {name.replace("__", "."): value for name, value in changes.items()})
    return sweep_records(config, run_dir, {"seed": config.seed}, trials, best)


def test_a_sweep_is_a_parent_and_a_child_for_each_trial(tmp_path: Path) -> None:
    parent, *children = records(tmp_path / "run")
    assert {record.experiment for record in (parent, *children)} == {"pading/sweep"}
    assert {record.parent for record in children} == {parent.key}
    assert [record.name for record in children] == ["trial 4", "trial 0", "trial 2"]
    assert len({record.key for record in children}) == 3
    assert {record.tags["stage"] for record in (parent, *children)} == {"sweep"}
    assert {record.tags["leaky"] for record in (parent, *children)} == {"false"}
    assert parent.metrics == {HM: 0.7, "holdout/0": 0.7, "num_trials": 3, "num_failed": 1, "num_stopped": 0}
    assert (parent.tags["best.generator.tau"], parent.tags["is_current"]) == ("0.2", "true")
    assert [dataset.context for dataset in parent.datasets] == ["train"]


def test_a_trial_has_its_settings_its_scores_and_how_it_ended(tmp_path: Path) -> None:
    _, first, second, failed = records(tmp_path / "run")
    assert first.params == {"generator.tau": "0.1", "primitive.num_primitives": "50"}
    assert first.metrics == {HM: 0.8, "holdout/0": 0.8, "seconds": 1.5}
    assert [record.tags["is_chosen"] for record in (first, second, failed)] == ["false", "true", "false"]
    assert [record.tags["rank"] for record in (first, second, failed)] == ["1", "2", "3"]
    assert [record.status for record in (first, second, failed)] == ["FINISHED", "FINISHED", "FAILED"]
    assert failed.metrics == {"seconds": 1.5}
    assert failed.tags["error"] == "RuntimeError: it broke"


def test_the_table_of_trials_bears_scores_that_are_no_number(tmp_path: Path) -> None:
    parent, *children = records(tmp_path / "run", [*TRIALS, trial(3, 0.4, math.nan)])
    table = json.loads(parent.tables["trials.json"])
    names = ["number", "generator.tau", "primitive.num_primitives", HM, "state", "seconds", "error"]
    assert table["columns"] == names
    assert [line[3] for line in table["data"]] == [0.8, 0.7, None, None]
    assert children[3].metrics == {"seconds": 1.5}


def test_trials_of_the_same_settings_are_runs_of_their_own(tmp_path: Path) -> None:
    _, *children = records(tmp_path / "run", [trial(0, 0.2, 0.7), trial(5, 0.2, 0.7)])
    assert len({record.key for record in children}) == 2


def test_the_same_sweep_is_the_same_record_and_another_another(tmp_path: Path) -> None:
    first, again = (records(tmp_path / name) for name in "ab")
    assert [record.key for record in first] == [record.key for record in again]
    for number, change in enumerate(({"seed": 1}, {"sweep__name": "aside"})):
        other = records(tmp_path / f"c{number}", **change)
        assert not {record.key for record in other} & {record.key for record in first}
    moved = records(tmp_path / "d", sweep__cpus_per_trial=0.5)  # where a trial runs is no part of what it is
    assert [record.key for record in moved] == [record.key for record in first]


def test_a_leaky_sweep_and_what_confirmed_its_winner_are_said(tmp_path: Path) -> None:
    verdict = {"is_better": True, "difference": 0.1, "low": 0.02}
    parent, *children = records(tmp_path / "run", best={**BEST, "leaky": True, "verdict": verdict})
    assert {record.tags["leaky"] for record in (parent, *children)} == {"true"}
    assert [dataset.context for dataset in parent.datasets] == ["train", "val"]
    assert (parent.metrics["confirmed"], parent.metrics["confirm/difference"]) == (1.0, 0.1)
    assert parent.metrics["confirm/low"] == 0.02
