import math

import pytest
import torch
from torch.autograd import gradcheck

from pading.zeroshot.kernels import KernelDiscrepancy, kernel_and_slope, shared_factors
from pading.zeroshot.mmd import BANDWIDTHS, mmd
from tests.references import zeroshot_losses as reference


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def symmetric(size):
    weights = normal(size, size, seed=9)
    return weights + weights.T


def test_kernel_and_slope_of_one_bandwidth_worked_by_hand():
    kernel, slope = kernel_and_slope(torch.tensor([0.0, 4.0], dtype=torch.float64), (2.0,))
    assert kernel.tolist() == pytest.approx([1.0, math.exp(-1)])
    assert slope.tolist() == pytest.approx([-0.25, -0.25 * math.exp(-1)])


def test_exponentials_of_the_published_bandwidths_come_from_one():
    # powers 1, 2, 4, 8, 16, 40 of exp(-s / 160): 40 = 16 + 16 + 8
    assert shared_factors(sorted(BANDWIDTHS, reverse=True)) == [[], [0, 0], [1, 1], [2, 2], [3, 3], [4, 4, 3]]


@pytest.mark.parametrize("bandwidths", [(7.0, 3.0), (10.0, 10.0), (1000.0, 1.0), (30.0, 1.0), (5.0,)])
def test_bandwidths_without_a_short_product_get_exponentials_of_their_own(bandwidths):
    assert shared_factors(list(bandwidths)) == [[] for _ in bandwidths]


@pytest.mark.parametrize("scale", [1.0, 0.37, 1 / 3, 123.4])
@pytest.mark.parametrize("bandwidths", [BANDWIDTHS, (1.0, 3.0, 9.0, 27.0), (2.0, 3.0)])
def test_shared_exponentials_are_as_exact_as_their_own_in_single_precision(bandwidths, scale):
    squared = torch.linspace(0, 1500 * scale, 2000, dtype=torch.float64)
    bandwidths = tuple(scale * bandwidth for bandwidth in bandwidths)
    expected = torch.stack([torch.exp(-squared / (2 * b)) for b in bandwidths])
    slopes = expected * torch.tensor([-0.5 / b for b in bandwidths]).double()[:, None]
    kernel, slope = kernel_and_slope(squared.float(), bandwidths)
    torch.testing.assert_close(kernel.double(), expected.sum(dim=0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(slope.double(), slopes.sum(dim=0), rtol=1e-6, atol=1e-6 / min(bandwidths))


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_value_and_gradient_in_single_precision_are_those_of_double(estimator):
    x, y = 3 * normal(90, 64), 1 + 3 * normal(80, 64, seed=1)
    values, gradients = [], []
    for kind in (torch.float64, torch.float32):
        generated = x.to(kind).requires_grad_()
        value = mmd(generated, y.to(kind), tuple(8 * b for b in BANDWIDTHS), estimator)
        (gradient,) = torch.autograd.grad(value, generated)
        values.append(value.item())
        gradients.append(gradient.double())
    assert values[1] == pytest.approx(values[0], rel=1e-6)
    assert (gradients[1] - gradients[0]).norm() < 1e-6 * gradients[0].norm()


def test_gradient_equals_the_one_of_the_plain_operations():
    x, y, weights = normal(2, 5, 3).requires_grad_(), normal(2, 4, 3, seed=1).requires_grad_(), symmetric(9)
    rows = torch.cat([x, y], dim=1)
    squared = (rows.unsqueeze(2) - rows.unsqueeze(1)).square().sum(dim=3)
    plain = sum((weights * torch.exp(-squared / (2 * b))).sum(dim=(1, 2)) for b in (1.0, 4.0, 6.0))
    direction = normal(2, seed=3)
    fused = KernelDiscrepancy.apply(x, y, weights, (1.0, 4.0, 6.0))
    torch.testing.assert_close(fused, plain)
    for ours, theirs in zip(
        torch.autograd.grad(fused, (x, y), direction), torch.autograd.grad(plain, (x, y), direction), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("groups", [(), (2,), (2, 2)])
@pytest.mark.parametrize("asked", [(True, True), (True, False), (False, True)])
def test_gradients_are_right_for_either_sample_in_any_groups(groups, asked):
    x = normal(*groups, 3, 2).requires_grad_(asked[0])
    y = normal(*groups, 4, 2, seed=1).requires_grad_(asked[1])
    assert gradcheck(lambda a, b: KernelDiscrepancy.apply(a, b, symmetric(7), BANDWIDTHS), (x, y))


def test_groups_equal_the_literal_loops_one_by_one():
    x, y = 2 * normal(2, 3, 4, 5), 1 + 2 * normal(2, 3, 6, 5, seed=1)
    values = mmd(x, y, BANDWIDTHS, "unbiased")
    expected = [
        [reference.mmd(x[i, j].numpy(), y[i, j].numpy(), BANDWIDTHS, "unbiased") for j in range(3)] for i in range(2)
    ]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64))


def test_a_second_derivative_is_refused():
    x = normal(3, 2).requires_grad_()
    with pytest.raises(RuntimeError, match="can be differentiated once only"):
        torch.autograd.grad(mmd(x, normal(3, 2, seed=1)), x, create_graph=True)


def test_nothing_is_kept_where_no_gradient_is_asked_for():
    assert not mmd(normal(3, 2), normal(3, 2, seed=1)).requires_grad
