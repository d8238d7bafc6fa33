import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from pading.zeroshot.mmd import BANDWIDTHS, mmd, mmd_per_class, safe_root, scaled_bandwidths
from tests.references import zeroshot_losses as reference


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_points_worked_by_hand():
    # x = {0}, y = {1}, one kernel of variance 2: k(x, x) = k(y, y) = 1, k(x, y) = exp(-1/4).
    value = mmd(torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64), (2.0,), "biased")
    torch.testing.assert_close(value.item(), 2 - 2 * math.exp(-0.25))


def test_unbiased_estimate_worked_by_hand():
    # x = {0, 1}, y = {0, 2}, variance 1/2, so k = exp(-d^2): within x e^-1, within y e^-4, between 1, e^-4, e^-1, e^-1
    x, y = (torch.tensor(v, dtype=torch.float64).unsqueeze(1) for v in ([0, 1], [0, 2]))
    expected = math.exp(-1) + math.exp(-4) - 2 * (1 + math.exp(-4) + 2 * math.exp(-1)) / 4
    torch.testing.assert_close(mmd(x, y, (0.5,), "unbiased").item(), expected)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("sizes", [(5, 5), (3, 7)])
def test_mmd_equals_the_literal_loops(estimator, sizes):
    x, y = 2 * normal(sizes[0], 4), 1 + 2 * normal(sizes[1], 4, seed=1)
    expected = reference.mmd(x.numpy(), y.numpy(), BANDWIDTHS, estimator)
    torch.testing.assert_close(mmd(x, y, BANDWIDTHS, estimator).item(), expected)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_mmd_per_class_equals_the_literal_loop_over_classes(estimator):
    x, y = 2 * normal(3, 4, 5), 1 + 2 * normal(3, 6, 5, seed=1)
    labels_x, labels_y = torch.arange(3).repeat_interleave(4), torch.arange(3).repeat_interleave(6)
    expected = reference.mmd_per_class(
        x.flatten(0, 1).numpy(), labels_x.numpy(), y.flatten(0, 1).numpy(), labels_y.numpy(), (1.0, 6.0), estimator
    )
    torch.testing.assert_close(mmd_per_class(x, y, (1.0, 6.0), estimator).item(), expected)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_biased_mmd_is_symmetric_and_not_negative(num_x, num_y, width, seed):
    x, y = normal(num_x, width, seed=seed), normal(num_y, width, seed=seed + 1)
    torch.testing.assert_close(mmd(x, y), mmd(y, x))
    assert mmd(x, y) >= -1e-12


def test_biased_mmd_of_a_sample_with_itself_is_zero():
    x = 3 * normal(9, 5)
    torch.testing.assert_close(mmd(x, x).item(), 0.0, rtol=0, atol=1e-12)


def test_unbiased_mmd_is_zero_on_average_where_the_biased_one_is_not():
    x, y = normal(10_000, 8, 4), normal(10_000, 8, 4, seed=1)
    values = mmd(x, y, (4.0,), "unbiased")
    standard_error = values.std() / math.sqrt(len(values))
    assert abs(values.mean()) < 4 * standard_error
    assert mmd(x, y, (4.0,), "biased").mean() > 20 * standard_error


def test_pooled_mmd_cannot_tell_swapped_classes_and_the_per_class_one_can():
    real = torch.stack([normal(6, 4), 3 + normal(6, 4, seed=1)])
    right, swapped = real + 0.1 * normal(2, 6, 4, seed=2), real.flip(0) + 0.1 * normal(2, 6, 4, seed=2).flip(0)
    pooled = [mmd(x.flatten(0, 1), real.flatten(0, 1)) for x in (right, swapped)]
    torch.testing.assert_close(*pooled)
    per_class = [mmd_per_class(x, real, estimator="biased") for x in (right, swapped)]
    assert per_class[1] > 10 * per_class[0] > 0


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_gradients_are_right(estimator):
    x, y = normal(2, 3, 2).requires_grad_(), normal(2, 4, 2, seed=1).requires_grad_()
    assert gradcheck(lambda a, b: mmd(a, b, (1.0, 3.0), estimator), (x, y))


def test_a_large_common_offset_does_not_matter():
    x, y = normal(5, 4).float(), normal(6, 4, seed=1).float()
    torch.testing.assert_close(mmd(x + 1000, y + 1000), mmd(x, y), rtol=1e-4, atol=1e-4)


def test_safe_root_has_a_finite_gradient_at_zero_and_below():
    squared = torch.tensor([-1.0, 0.0, 4.0], dtype=torch.float64, requires_grad=True)
    root = safe_root(squared)
    root.sum().backward()
    assert squared.grad.isfinite().all()
    torch.testing.assert_close(root[:2].tolist(), [0.0, 0.0])
    assert root[2].item() == pytest.approx(2.0, abs=2e-4)


def test_absolute_bandwidths_follow_nothing():
    assert scaled_bandwidths(torch.zeros(3, 64), (2.0, 80.0), "absolute") == (2.0, 80.0)


def test_bandwidths_follow_the_width():
    assert scaled_bandwidths(torch.zeros(3, 64), (2.0, 80.0), "width") == (0.5, 20.0)


def test_bandwidths_follow_the_scale_of_the_features():
    # pairs at squared distance 1, 1, 4: the median is 1, a 512th of the reference
    rows = torch.tensor([[0.0], [1.0], [2.0]])
    assert scaled_bandwidths(rows, (512.0,), "median") == (1.0,)
    assert scaled_bandwidths(10 * rows, (512.0,), "median") == (100.0,)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(2, 4\): only rows may differ"):
        mmd(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="each sample needs at least 1"):
        mmd(torch.zeros(0, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"unbiased .* 2 generated and 1 real rows: each sample needs at least 2"):
        mmd(torch.zeros(2, 3), torch.zeros(1, 3), estimator="unbiased")
    for bandwidths in ((), (1.0, 0.0)):
        with pytest.raises(ValueError, match="all positive"):
            mmd(torch.zeros(2, 3), torch.zeros(2, 3), bandwidths)
    for identical in (torch.ones(4, 2), torch.ones(1, 2)):
        with pytest.raises(ValueError, match="use the bandwidth scale 'width'"):
            scaled_bandwidths(identical, (1.0,), "median")
