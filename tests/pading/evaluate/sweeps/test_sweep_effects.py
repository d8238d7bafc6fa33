import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway, ttest_1samp

from pading.evaluate.sweeps.axes import axis_of
from pading.evaluate.sweeps.effects import effect, effects, level_scores
from pading.evaluate.sweeps.trials import read_trials
from tests.sweeps import DEFAULT, OBJECTIVE, best, trial, trials


def read(records, winner=None):
    return read_trials(Path("x"), OBJECTIVE, records, winner or records[0], DEFAULT)


def test_few_whole_numbers_are_choices_and_stand_at_equal_distances():
    axis = axis_of("primitives", [100, 400, 200, 800])
    assert axis.kind == "choice"
    assert [axis.place(value) for value in (100, 200, 400, 800)] == [0.125, 0.375, 0.625, 0.875]


def test_numbers_that_reach_far_are_logarithmic_and_others_are_not():
    far, near = axis_of("tau", [0.01, 0.1, 1.0]), axis_of("share", [0.2, 0.5, 0.31])
    assert (far.kind, near.kind) == ("log", "linear")
    assert [far.place(value) for value in (0.01, 0.1, 1.0)] == pytest.approx([0, 0.5, 1])
    assert axis_of("weight", [-1.0, 0.5, 100.0]).kind == "linear"


def test_words_and_claims_are_choices():
    assert axis_of("mmd", ["pooled", "per_class"]).choices == ("per_class", "pooled")
    assert axis_of("is_centred", [True, False, True]).kind == "choice"


def test_a_setting_that_no_trial_has_is_refused():
    with pytest.raises(ValueError, match="no trial has a value of 'tau'"):
        axis_of("tau", [])


@given(st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_every_value_and_tick_lies_on_its_axis(values):
    axis = axis_of("any", values)
    assert all(-1e-9 <= axis.place(value) <= 1 + 1e-9 for value in values)
    assert all(-1e-9 <= place <= 1 + 1e-9 for _, place in axis.ticks)


def test_the_height_of_a_hold_out_is_taken_off():
    found = read(
        [trial(number, 0.1 * (number + 1), 100, (0.5 + 0.1 * number, 0.9 + 0.1 * number)) for number in range(2)]
    )
    level = level_scores(found)  # the better trial first
    np.testing.assert_allclose(level, [[80, 80], [70, 70]])


def test_a_mean_and_its_interval_are_those_of_students_t():
    found = effect(read(trials(), best()), "primitive.num_primitives")
    assert [point.label for point in found.points] == ["100", "200", "400"]
    assert [point.num_trials for point in found.points] == [4, 5, 1]
    first = found.points[0]
    scores = [dot.score for dot in found.dots if dot.trial.settings["primitive.num_primitives"] == 100]
    assert first.mean == pytest.approx(np.mean(scores))
    low, high = ttest_1samp(scores, 0).confidence_interval(0.95)
    assert (first.low, first.high) == pytest.approx((low, high))


def test_a_value_of_one_trial_has_the_interval_of_its_hold_outs():
    records = [trial(0, 0.1, 100, (0.50, 0.74)), trial(1, 0.1, 200, (0.60, 0.80)), trial(2, 0.1, 400, (0.58, 0.77))]
    found = effect(read(records), "primitive.num_primitives")
    level = level_scores(read(records))
    low, high = ttest_1samp(level[0], 0).confidence_interval(0.95)  # the best trial is that of 200
    assert (found.points[1].low, found.points[1].high) == pytest.approx((low, high))


def test_with_one_hold_out_and_one_trial_nothing_repeats():
    records = [trial(number, 0.1, primitives, (0.5,)) for number, primitives in enumerate((100, 200))]
    assert all(math.isnan(point.low) for point in effect(read(records), "primitive.num_primitives").points)


def test_the_share_of_variance_is_epsilon_squared():
    found = effect(read(trials(), best()), "primitive.num_primitives")
    groups = {}
    for dot in found.dots:
        groups.setdefault(dot.trial.settings["primitive.num_primitives"], []).append(dot.score)
    assert math.isnan(found.share)  # seven free trials say nothing yet
    records = [*trials(), trial(12, 0.11, 100, (0.53, 0.72)), trial(13, 0.12, 200, (0.61, 0.83))]
    found = effect(read(records, best()), "primitive.num_primitives")
    for dot in found.dots:
        groups.setdefault(dot.trial.settings["primitive.num_primitives"], [])
    groups = {
        value: [dot.score for dot in found.dots if dot.trial.settings["primitive.num_primitives"] == value]
        for value in groups
    }
    statistic = f_oneway(*(groups[value] for value in (100, 200, 400))).statistic
    between, total = 2, 11
    expected = between * (statistic - 1) / (between * statistic + total - between)  # epsilon squared by F
    assert found.share == pytest.approx(expected)


def test_the_setting_that_explains_most_comes_first_and_constants_are_left_out():
    records = [*trials(), trial(12, 0.11, 100, (0.53, 0.72)), trial(13, 0.12, 200, (0.61, 0.83))]
    assert [one.name for one in effects(read(records, best()))] == ["primitive.num_primitives", "generator.tau"]
    alone = [trial(number, 0.1, 100, (0.5, 0.6)) for number in range(3)]
    assert effects(read(alone)) == []


def test_a_sweep_of_one_setting_alone_has_a_point_for_every_value():
    records = [trial(number, tau, 100, (0.5 + tau, 0.6)) for number, tau in enumerate((0.03, 0.05, 0.1, 0.2, 0.4))]
    (found,) = effects(read(records))
    assert [point.label for point in found.points] == ["0.03", "0.05", "0.1", "0.2", "0.4"]


def test_numbers_are_put_together_equally_many_to_a_point():
    records = [trial(number, 0.01 * 1.3**number, (100, 200)[number % 2], (0.5, 0.6)) for number in range(12)]
    found = effect(read(records), "generator.tau")
    assert [point.num_trials for point in found.points] == [3, 3, 3, 3]
    places = [point.place for point in found.points]
    assert places == sorted(places)
