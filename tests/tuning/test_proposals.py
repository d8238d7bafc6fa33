import pytest

from tests.tuning.sweep_world import record
from tuning.dimensions import Choice, Range
from tuning.proposals import STARTUP_TRIALS, points_of_grid, proposer, resolve_search

SPACE = {"tau": Range(low=0.0, high=1.0), "size": Choice(values=(50, 100, 200, 400))}
FINITE = {"size": Choice(values=(50, 100, 200)), "kind": Choice(values=("a", "b"))}
START = {"tau": 0.5, "size": 100}
HM = "accuracy/hm"


def test_auto_is_a_grid_where_trials_reach_and_learns_elsewhere():
    assert resolve_search("auto", FINITE, 6) == "grid"
    assert resolve_search("auto", FINITE, 5) == "tpe"
    assert resolve_search("auto", SPACE, 1000) == "tpe"
    assert resolve_search("random", FINITE, 6) == "random"


def test_a_grid_begins_with_the_settings_as_they_are_and_has_no_point_twice():
    points = points_of_grid(FINITE, {"size": 100, "kind": "b"})
    assert points[0] == {"size": 100, "kind": "b"}
    assert len(points) == len({tuple(point.values()) for point in points}) == 6
    assert len(points_of_grid(FINITE, {"size": 75, "kind": "b"})) == 7


@pytest.mark.parametrize("search", ["tpe", "random"])
def test_trial_zero_has_the_settings_as_they_are_and_others_depend_on_seed_and_number(search):
    propose = proposer(search, SPACE, START, HM, 0)
    assert propose(0, []) == START
    points = [propose(number, []) for number in range(1, 6)]
    assert len({tuple(point.values()) for point in points}) == 5
    again, other = proposer(search, SPACE, START, HM, 0), proposer(search, SPACE, START, HM, 1)
    assert [again(number, []) for number in (5, 4, 3, 2, 1)] == points[::-1]
    assert other(1, []) != points[0]


def test_what_is_learnt_in_one_go_is_what_is_learnt_step_by_step():
    """So a search that was killed proposes what it would have proposed."""
    records = [record(number, 1 - abs(number / 20 - 0.3), tau=number / 20, size=100) for number in range(20)]
    steadily = proposer("tpe", SPACE, START, HM, 0)
    for number in range(1, 20):
        steadily(number, records[:number])
    assert steadily(20, records) == proposer("tpe", SPACE, START, HM, 0)(20, records)


def test_the_estimator_looks_where_scores_were_high():
    records = [record(number, 1 - abs(number / 40 - 0.3), tau=number / 40, size=100) for number in range(40)]
    propose = proposer("tpe", SPACE, START, HM, 0)
    learnt = [propose(40 + number, records)["tau"] for number in range(20)]
    blind = [proposer("random", SPACE, START, HM, 0)(40 + number, [])["tau"] for number in range(20)]

    def distance(values):
        return sum(abs(value - 0.3) for value in values) / len(values)

    assert distance(learnt) < distance(blind) / 2


def test_failed_trials_and_settings_outside_the_space_say_nothing():
    strange = [record(0, 0.9, tau=7.0, size=100), record(1, state="failed", tau=0.5, size=100)]
    few = [record(2 + number, 0.5, tau=0.1 * number, size=50) for number in range(STARTUP_TRIALS + 1)]
    first, second = (proposer("tpe", SPACE, START, HM, 0) for _ in range(2))
    assert first(30, strange + few) == second(30, few)


def test_a_trial_that_was_stopped_counts_less_than_one_that_was_not():
    """Trials stopped at a high tau leave the estimator at the low one, though their scores so far were higher."""
    complete = [record(number, 0.4, 0.4, tau=0.02 * number, size=100) for number in range(12)]
    stopped = [record(12 + number, 0.6, state="stopped", tau=1 - 0.02 * number, size=100) for number in range(12)]
    propose = proposer("tpe", SPACE, START, HM, 0)
    assert sum(propose(50 + number, complete + stopped)["tau"] for number in range(20)) / 20 < 0.5
