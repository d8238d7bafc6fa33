"""Whole sweeps through Ray Tune, at toy size."""

import gc
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.processes import one_killed
from tests.tuning.sweep_world import record, tiny_inputs, tiny_plan
from tuning.dimensions import Choice, Range
from tuning.journal import Journal, TrialRecord
from tuning.sweep import JOURNAL, _scheduler, confirm, leader, sweep

SPACE = {"generator.tau": Range(low=0.03, high=0.5, is_log=True), "primitive.num_primitives": Choice(values=(4, 8, 16))}


def run(folder: Path, space: dict = SPACE, **changes) -> list[TrialRecord]:
    return sweep(tiny_inputs(), tiny_plan(space, **changes), folder, lambda ended: None)


def what(records: list[TrialRecord]) -> list[tuple]:
    """Return what does not depend on the clock."""
    return [(one.number, one.settings, one.state, one.scores, one.error) for one in records]


def test_the_leader_is_the_best_of_those_that_were_judged_on_every_hold_out() -> None:
    records = [record(0, 0.5, 0.5), record(1, 0.9, state="stopped"), record(2, 0.6, 0.8), record(3, 0.8, 0.6)]
    assert leader(records, "hm").number == 2
    assert leader([*records, record(4, state="failed")], "ausuc").number == 2


@pytest.mark.parametrize("search", ["random", pytest.param("tpe", marks=pytest.mark.slow)])
def test_a_sweep_in_order_is_the_same_again_and_the_same_after_losing_its_last_trials(
    search: str, ray_session: None, tmp_path: Path
) -> None:
    trials = 13 if search == "tpe" else 4  # enough for the estimator to have learnt
    counted: list[int] = []
    plan = tiny_plan(SPACE, search=search, trials=trials, hold_outs=1)
    whole = sweep(tiny_inputs(), plan, tmp_path / "whole", counted.append)
    assert [one.number for one in whole] == list(range(trials))
    assert counted == list(range(1, trials + 1))
    assert {one.state for one in whole} == {"complete"}
    assert all(one.cpu_seconds > 0 for one in whole)
    lines = (tmp_path / "whole" / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / JOURNAL).write_bytes(b"".join(lines[: trials - 2]) + lines[-1][:40])
    again = sweep(tiny_inputs(), plan, tmp_path / "cut", lambda ended: None)
    assert what(again) == what(whole)
    assert leader(again, "hm").number == leader(whole, "hm").number


def test_an_interrupted_sweep_ends_keeps_its_trials_and_hears_the_next_interrupt(
    ray_session: None, interruptible: None, tmp_path: Path
) -> None:
    def interrupt(ended: int) -> None:
        if ended == 1:
            os.kill(os.getpid(), signal.SIGINT)

    plan = tiny_plan(SPACE, trials=3, hold_outs=1)
    with pytest.raises(KeyboardInterrupt):
        sweep(tiny_inputs(), plan, tmp_path, interrupt)
    gc.collect()  # files that Tune leaves open of a run that is interrupted warn here, not at the end of all tests
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    kept = (tmp_path / JOURNAL).read_bytes()
    assert kept
    whole = sweep(tiny_inputs(), plan, tmp_path, lambda ended: None)
    assert (tmp_path / JOURNAL).read_bytes().startswith(kept)
    assert [one.state for one in whole] == ["complete"] * 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_trial_whose_worker_is_killed_is_begun_again_and_scores_what_it_would_have(
    ray_session: None, tmp_path: Path
) -> None:
    inputs, plan = tiny_inputs(classifier__steps=400), tiny_plan(SPACE, trials=2, hold_outs=1)
    whole = sweep(inputs, plan, tmp_path / "whole", lambda ended: None)
    with one_killed("ray::ImplicitFunc.train") as killed:
        again = sweep(inputs, plan, tmp_path / "killed", lambda ended: None)
    assert len(killed) == 1
    assert what(again) == what(whole)


def test_a_finished_sweep_is_read_and_nothing_is_run(ray_session: None, tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL)
    for number in range(4):
        journal.append(record(number, 0.5, 0.5))
    assert run(tmp_path) == journal.in_order()
    assert list(tmp_path.iterdir()) == [tmp_path / JOURNAL]


def test_a_grid_is_all_of_its_points_and_settings_that_cannot_work_do_not_end_it(
    ray_session: None, tmp_path: Path
) -> None:
    """The features are 16 wide, so that 3 heads do not fit."""
    records = run(tmp_path, {"primitive.heads": Choice(values=(2, 3, 4))}, search="grid", hold_outs=1, trials=1)
    assert [one.settings["primitive.heads"] for one in records] == [2, 3, 4]
    assert [one.state for one in records] == ["complete", "failed", "complete"]
    assert records[1].error.startswith("ValueError: feature width 16 is not a multiple of 3 heads")
    assert leader(records, "hm").number != 1


def test_a_sweep_without_one_whole_trial_says_why(ray_session: None, tmp_path: Path) -> None:
    inputs = tiny_inputs(timeout_s=1e-6)
    with pytest.raises(RuntimeError, match=r"none of 2 trials was judged on every hold-out; .*TimeoutError"):
        sweep(inputs, tiny_plan(SPACE, trials=2), tmp_path, lambda ended: None)


def test_a_wrong_space_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which is no setting"):
        run(tmp_path, {"generator.tua": Choice(values=(1.0,))})
    assert not list(tmp_path.iterdir())


def test_halving_stops_what_others_did_better_than_and_knows_the_trials_of_a_killed_process() -> None:
    plan = tiny_plan(SPACE, schedule="asha", hold_outs=3)
    past = [record(number, 0.1 * number, 0.1 * number, 0.1 * number) for number in range(1, 10)]
    past.append(record(10, state="failed"))

    def decide(scheduler, value: float) -> str:
        trial = type("Trial", (), {"trial_id": f"new {value}"})()
        scheduler.on_trial_add(None, trial)
        return scheduler.on_trial_result(None, trial, {"training_iteration": 1, "objective": value})

    assert decide(_scheduler(plan, past), 0.2) == "STOP"
    assert decide(_scheduler(plan, past), 0.85) == "CONTINUE"
    assert decide(_scheduler(plan, []), 0.2) == "CONTINUE"  # the first has nothing to be compared with


def test_a_candidate_is_compared_on_hold_outs_that_no_trial_saw(ray_session: None) -> None:
    inputs, plan = tiny_inputs(hold_outs=4), tiny_plan(SPACE)
    counted: list[int] = []
    poor = {"classifier.unseen_weight": 0.0}
    found = confirm(inputs, plan, {}, poor, counted.append)
    assert counted[-1] == 4
    assert len(found.candidate) == len(found.current) == 2
    assert found.current == (0.0, 0.0)  # an unseen class that weighs nothing is never named
    assert found.difference > 0
    with pytest.raises(ValueError, match="compare at least two pairs"):
        confirm(replace(inputs, hold_outs=inputs.hold_outs[:3]), plan, {}, poor, counted.append)
