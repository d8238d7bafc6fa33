import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.classes import ClassTable
from pading.evaluate.bootstrap import GROUPS, SeedScores, compare, draw_weights, group_scores, interval
from pading.evaluate.report import group_mean, harmonic_mean

CLASSES = ClassTable(
    name="three", names=("a", "b", "c"), coco_ids=(1, 2, 3), is_thing=(True,) * 3, is_seen=(True, True, False)
)


def scores_of(estimates: list[float], replicates: list[list[float]], seeds: tuple[int, ...] | None = None):
    """The same numbers in every group; replicates: one list a seed."""
    return SeedScores(
        seeds=seeds or tuple(range(len(estimates))),
        estimates=np.repeat(np.array(estimates, float)[:, None], 3, axis=1),
        replicates=np.repeat(np.array(replicates, float)[:, :, None], 3, axis=2),
    )


def test_every_drawn_set_has_as_many_images_as_there_are():
    weights = draw_weights(7, 50, seed=3)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert (weights == weights.round()).all()
    assert (weights.min(), weights.max() > 1) == (0, True)


def test_draws_depend_on_the_seed_alone():
    assert (draw_weights(7, 50, seed=3) == draw_weights(7, 50, seed=3)).all()
    assert (draw_weights(7, 50, seed=3) != draw_weights(7, 50, seed=4)).any()


@pytest.mark.parametrize("arguments", [(0, 5), (5, 0)])
def test_nothing_to_draw_is_refused(arguments: tuple[int, int]):
    with pytest.raises(ValueError, match="both must be at least 1"):
        draw_weights(*arguments, seed=0)


def test_group_scores_worked_by_hand():
    """Seen (0.4, 0.6) and unseen 0.25: 50, 25, 2*50*25/75. Then an absent seen class, no unseen one, and a zero."""
    nan = np.nan
    quality = np.array([[0.4, 0.6, 0.25], [nan, 0.6, 0.2], [0.5, 0.5, nan], [0.5, 0.5, 0.0]])
    expected = [[50, 25, 100 / 3], [60, 20, 30], [50, nan, nan], [50, 0, 0]]
    np.testing.assert_allclose(group_scores(quality, CLASSES), expected, rtol=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(st.just(float("nan")), st.floats(0, 1)), min_size=3, max_size=3))
def test_group_scores_are_those_of_the_report(quality: list[float]):
    values = np.array(quality)
    seen, unseen = (100 * group_mean(values, group, "skip") for group in (CLASSES.seen, CLASSES.unseen))
    expected = [[seen, unseen, harmonic_mean(seen, unseen)]]
    np.testing.assert_allclose(group_scores(values[None], CLASSES), expected, rtol=1e-12)


def test_qualities_of_another_table_are_refused():
    with pytest.raises(ValueError, match="3 classes"):
        group_scores(np.zeros((2, 4)), CLASSES)


def test_an_interval_worked_by_hand():
    """Seeds 10 and 20; sets 0..40 and 2..42: means over seeds 1..41, whose 2.5 % and 97.5 % quantiles are 2 and 40."""
    first = np.arange(41.0)
    found = interval(scores_of([10, 20], [first, first + 2]), "hm")
    assert (found.value, found.low, found.high) == pytest.approx((15, 2, 40))


def test_sets_without_a_value_are_left_out_and_nothing_is_said_where_none_has_one():
    found = interval(scores_of([1.0], [[1.0, np.nan, 1.0]]), "seen")
    assert (found.low, found.high) == (1.0, 1.0)
    found = interval(scores_of([np.nan], [[np.nan, np.nan]]), "seen")
    assert np.isnan([found.value, found.low, found.high]).all()


def test_a_comparison_worked_by_hand():
    """Per set: means over seeds of (1, -1, 0, 3) and (1, 1, 0, 1) are 1, 0, 0, 2: two wins, two ties, P = 3/4."""
    first = scores_of([5.0, 5.0], [[1, -1, 0, 3], [1, 1, 0, 1]])
    second = scores_of([4.0, 6.0], [[0, 0, 0, 0], [0, 0, 0, 0]])
    found = compare(first, second, "unseen")
    assert found.difference.value == 0.0
    assert found.deviation == pytest.approx(2**0.5)  # of 5 - 4 and 5 - 6
    assert found.probability_better == 0.75
    assert (found.seeds_better, found.num_seeds) == (1, 2)
    assert compare(second, first, "unseen").probability_better == 0.25


def test_a_variant_against_itself_differs_by_exactly_nothing():
    rng = np.random.default_rng(0)
    one = scores_of([0.1, 0.7], rng.normal(size=(2, 100)))
    for group in GROUPS:
        found = compare(one, one, group)
        assert (found.difference.value, found.difference.low, found.difference.high) == (0.0, 0.0, 0.0)
        assert (found.probability_better, found.seeds_better) == (0.5, 0)


def test_only_shared_seeds_are_compared_each_with_itself():
    first = scores_of([1.0, 2.0, 9.0], [[1.0], [2.0], [9.0]], seeds=(0, 1, 2))
    second = scores_of([2.0, 1.0], [[2.0], [1.0]], seeds=(1, 0))
    found = compare(first, second, "hm")
    assert (found.difference.low, found.difference.high, found.num_seeds) == (0.0, 0.0, 2)


def test_what_both_share_does_not_widen_the_interval():
    """Two variants that rise and fall with the images, one point apart: the difference is known, each score is not."""
    common = np.random.default_rng(1).normal(scale=10, size=(1, 500))
    first, second = scores_of([51.0], common + 51), scores_of([50.0], common + 50)
    found = compare(first, second, "hm").difference
    assert found.high - found.low < 1e-9
    assert interval(first, "hm").high - interval(first, "hm").low > 30


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """A mean over 60 images of a known population: 95 % of intervals should hold it; percentile ones a bit less."""
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(300):
        values = rng.exponential(size=60)
        replicates = draw_weights(60, 400, seed=trial) @ values / 60
        found = interval(scores_of([values.mean()], [replicates]), "hm")
        covered += found.low <= 1.0 <= found.high
    assert 0.89 <= covered / 300 <= 0.98


def test_variants_without_a_common_seed_or_of_other_sets_are_refused():
    one = scores_of([1.0], [[1.0, 2.0]], seeds=(0,))
    with pytest.raises(ValueError, match="none in common"):
        compare(one, scores_of([1.0], [[1.0, 2.0]], seeds=(1,)), "hm")
    with pytest.raises(ValueError, match="2 and 3 sets"):
        compare(one, scores_of([1.0], [[1.0, 2.0, 3.0]], seeds=(0,)), "hm")


@pytest.mark.parametrize(
    ("seeds", "num_rows", "message"), [((), 0, "at least one"), ((1, 1), 2, "each once"), ((0, 1), 1, "one of each")]
)
def test_seeds_that_do_not_fit_the_scores_are_refused(seeds: tuple[int, ...], num_rows: int, message: str):
    with pytest.raises(ValueError, match=message):
        SeedScores(seeds=seeds, estimates=np.zeros((num_rows, 3)), replicates=np.zeros((num_rows, 4, 3)))
