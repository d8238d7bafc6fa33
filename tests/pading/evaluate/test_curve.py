import numpy as np
import pytest
import torch

from pading.evaluate.choice import choose
from pading.evaluate.curve import END, PENALTIES, CurveTally, area_under, with_ends

IS_SEEN = (True, False, True, False, True)


def test_the_ends_leave_one_group_of_classes():
    scores = torch.rand(5, 30, generator=torch.Generator().manual_seed(0)) * 100
    choice = choose(scores, IS_SEEN)
    low, *_, high = with_ends(PENALTIES)
    assert (low, high) == (-END, END)
    assert {IS_SEEN[label] for label in choice.labels(low).tolist()} == {True}
    assert {IS_SEEN[label] for label in choice.labels(high).tolist()} == {False}


def test_areas_worked_by_hand():
    # A triangle of half the square; the square; a bend at (80, 60): 20 x 30 below one part, 80 x 80 below the other.
    assert area_under(np.array([100.0, 0.0]), np.array([0.0, 100.0])) == 50
    assert area_under(np.array([100.0, 100.0, 0.0]), np.array([0.0, 100.0, 100.0])) == 100
    assert area_under(np.array([100.0, 80.0, 0.0]), np.array([0.0, 60.0, 100.0])) == (20 * 30 + 80 * 80) / 100
    assert np.isnan(area_under(np.array([100.0, 0.0]), np.array([np.nan, np.nan])))


def test_a_way_back_is_taken_off_the_area():
    there = area_under(np.array([50.0, 60.0, 50.0, 0.0]), np.array([0.0, 20.0, 20.0, 20.0]))
    assert there == pytest.approx((-10 * 10 + 10 * 20 + 50 * 20) / 100)


def test_curves_add_to_the_same_bits_in_any_grouping():
    rng = np.random.default_rng(0)
    parts = [CurveTally(task="semantic", counts=rng.integers(0, 99, (2, 3, 5)).astype(float)) for _ in range(5)]
    whole = CurveTally.total(parts)
    other = CurveTally.total([CurveTally.total(parts[3:]), CurveTally.total(parts[:3])])
    np.testing.assert_array_equal(whole.counts, other.counts)


@pytest.mark.parametrize("penalties", [(0.1, 0.1), (END,), (float("nan"),)])
def test_penalties_that_make_no_scale_are_refused(penalties):
    with pytest.raises(ValueError, match="give each once, between -1000 and 1000"):
        with_ends(penalties)
