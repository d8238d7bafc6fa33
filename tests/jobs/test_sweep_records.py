"""What MLflow is told of a sweep."""

import json
import math
from pathlib import Path

from jobs.sweep_records import sweep_records
from tests.jobs.evaluated_run import make_run
from tuning.trial import OBJECTIVE


def trial(tau: float, score: float | None, error: str | None = None) -> dict:
    metrics = {} if score is None else {OBJECTIVE: score, "holdout/0": score}
    settings = {"generator.tau": tau, "primitive.num_primitives": 50}
    return {"settings": settings, OBJECTIVE: score, "metrics": metrics, "seconds": 1.5, "error": error}


TRIALS = [trial(0.1, 0.8), trial(0.2, 0.7), trial(0.3, None, "RuntimeError: it broke")]


def test_a_sweep_is_a_parent_and_a_child_for_each_trial(tmp_path: Path) -> None:
    parent, *children = sweep_records(*make_run(tmp_path / "run", []), TRIALS, TRIALS[1])
    assert {record.experiment for record in (parent, *children)} == {"pading/sweep"}
    assert {record.parent for record in children} == {parent.key}
    assert [record.name for record in children] == ["trial 1", "trial 2", "trial 3"]
    assert len({record.key for record in children}) == 3
    assert {record.tags["stage"] for record in (parent, *children)} == {"sweep"}
    assert parent.metrics == {OBJECTIVE: 0.7, "holdout/0": 0.7, "num_trials": 3, "num_failed": 1}
    assert parent.tags["best.generator.tau"] == "0.2"
    assert [dataset.context for dataset in parent.datasets] == ["train"]


def test_a_trial_has_its_settings_its_scores_and_how_it_ended(tmp_path: Path) -> None:
    _, first, second, failed = sweep_records(*make_run(tmp_path / "run", []), TRIALS, TRIALS[1])
    assert first.params == {"generator.tau": "0.1", "primitive.num_primitives": "50"}
    assert first.metrics == {OBJECTIVE: 0.8, "holdout/0": 0.8, "seconds": 1.5}
    assert [record.tags["is_chosen"] for record in (first, second, failed)] == ["false", "true", "false"]
    assert [record.status for record in (first, second, failed)] == ["FINISHED", "FINISHED", "FAILED"]
    assert failed.metrics == {"seconds": 1.5}
    assert failed.tags["error"] == "RuntimeError: it broke"


def test_the_table_of_trials_bears_scores_that_are_no_number(tmp_path: Path) -> None:
    trials = [*TRIALS, trial(0.4, math.nan)]
    parent, *children = sweep_records(*make_run(tmp_path / "run", []), trials, trials[0])
    table = json.loads(parent.tables["trials.json"])
    assert table["columns"] == ["generator.tau", "primitive.num_primitives", OBJECTIVE, "seconds", "error"]
    assert [line[2] for line in table["data"]] == [0.8, 0.7, None, None]
    assert children[3].metrics == {"seconds": 1.5}


def test_the_same_sweep_is_the_same_record_and_another_seed_another(tmp_path: Path) -> None:
    first, again = (sweep_records(*make_run(tmp_path / name, []), TRIALS, TRIALS[0]) for name in "ab")
    assert [record.key for record in first] == [record.key for record in again]
    other = sweep_records(*make_run(tmp_path / "c", [], seed=1), TRIALS, TRIALS[0])
    assert not {record.key for record in other} & {record.key for record in first}
