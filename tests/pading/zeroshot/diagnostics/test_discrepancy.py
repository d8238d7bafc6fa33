import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.diagnostics.discrepancy import HALVINGS, MOST_ROWS, class_discrepancies, halves_discrepancy
from pading.zeroshot.features import Features
from pading.zeroshot.mmd import mmd

BANDWIDTHS = (1.0, 8.0)


def features(**rows_of: torch.Tensor) -> Features:
    """Rows of classes "c0", "c1", ..."""
    labels = torch.cat([torch.full((len(rows),), int(name[1:])) for name, rows in rows_of.items()])
    return Features(torch.cat(list(rows_of.values())), labels, torch.zeros_like(labels))


def gaussian(rows: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> torch.Tensor:
    return shift + spread * torch.randn(rows, 6, generator=generator_for(seed, "rows"))


def test_the_discrepancy_of_a_class_is_that_of_its_rows():
    ours, theirs = gaussian(30, 0), gaussian(20, 1, shift=1.0)
    other = gaussian(40, 2, shift=9.0)
    found = class_discrepancies(features(c0=other, c3=ours), features(c3=theirs, c0=other), (3,), BANDWIDTHS, seed=0)
    assert list(found) == [3]
    assert found[3].mmd == pytest.approx(float(mmd(ours, theirs, BANDWIDTHS, "unbiased")), rel=1e-5)
    assert found[3].num_real == 20
    assert found[3].spread == pytest.approx(float(ours.var(dim=0).sum() / theirs.var(dim=0).sum()), rel=1e-5)
    assert found[3].ratio == pytest.approx(found[3].mmd / found[3].floor)


def test_rows_of_one_distribution_are_within_a_few_times_chance_and_others_are_not():
    real = features(c0=gaussian(200, 1), c1=gaussian(200, 2), c2=gaussian(200, 3))
    synthetic = features(c0=gaussian(200, 4), c1=gaussian(200, 5, shift=1.0), c2=gaussian(200, 6, spread=2.0))
    found = class_discrepancies(synthetic, real, range(3), BANDWIDTHS, seed=0)
    assert abs(found[0].ratio) < 3
    assert found[1].ratio > 20
    assert found[2].ratio > 20
    assert found[2].spread == pytest.approx(4.0, rel=0.2)


def test_chance_is_the_root_mean_square_over_halvings():
    rows = gaussian(11, 0)
    source = generator_for(5, "halves")
    squares = []
    for _ in range(HALVINGS):
        order = torch.randperm(11, generator=source)
        squares.append(float(mmd(rows[order[:5]], rows[order[5:10]], BANDWIDTHS, "unbiased")) ** 2)
    assert halves_discrepancy(rows, BANDWIDTHS, 5) == pytest.approx((sum(squares) / HALVINGS) ** 0.5, rel=1e-4)


def test_classes_with_too_few_or_identical_rows_are_left_out():
    synthetic = features(c0=gaussian(9, 0), c1=gaussian(9, 1), c2=gaussian(3, 2), c3=gaussian(9, 3))
    real = features(c0=gaussian(3, 3), c1=torch.ones(9, 6), c2=gaussian(9, 4), c3=gaussian(4, 5))
    assert list(class_discrepancies(synthetic, real, range(5), BANDWIDTHS, seed=0)) == [3]


def test_of_a_common_class_so_many_rows_are_compared_and_the_same_ones_each_time():
    real, synthetic = features(c0=gaussian(3 * MOST_ROWS, 0)), features(c0=gaussian(50, 1))
    first = class_discrepancies(synthetic, real, (0,), BANDWIDTHS, seed=0)[0]
    assert first.num_real == MOST_ROWS
    assert first == class_discrepancies(synthetic, real, (0,), BANDWIDTHS, seed=0)[0]
    assert first != class_discrepancies(synthetic, real, (0,), BANDWIDTHS, seed=1)[0]
