"""A weighted sum of Gaussian kernels over all pairs of rows, with its gradient in closed form.

Axes: N generated and M real rows, R = N + M, D width, V bandwidths; leading axes are groups.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_LARGEST_POWER = 64  # of an exponential that stands for another: its rounding error grows with the power
_MOST_FACTORS = 3  # beyond that an exponential of its own costs less


class KernelDiscrepancy(torch.autograd.Function):
    """sum_ij w_ij k(|y_i - y_j|^2) of y = [generated; real], with k(s) = sum_v exp(-s / 2v) and symmetric weights.

    Its gradient for y_i is sum_j 4 w_ij k'(|y_i - y_j|^2) (y_i - y_j): one product of the rows with the Laplacian of
    the pairs' slopes 4 w k', which the forward pass takes from the exponentials that it has anyway.
    """

    @staticmethod
    def forward(
        context: Any,
        generated: Float[Tensor, "*groups N D"],
        real: Float[Tensor, "*groups M D"],
        weights: Float[Tensor, "R R"],
        bandwidths: tuple[float, ...],
    ) -> Float[Tensor, "*groups"]:
        """Return the sum; `weights` gets no gradient."""
        rows = torch.cat([generated, real], dim=-2)
        rows -= rows.mean(dim=-2, keepdim=True)  # distances do not change, the rounding error shrinks
        kernel, slope = kernel_and_slope(_squared_distances(rows), bandwidths)
        if any(context.needs_input_grad[:2]):
            slope *= 4 * weights
            slope.diagonal(dim1=-2, dim2=-1).sub_(slope.sum(dim=-1))
            context.save_for_backward(rows, slope)
            context.num_generated = generated.shape[-2]
        return (kernel * weights).sum(dim=(-2, -1))

    @staticmethod
    def backward(context: Any, gradient: Float[Tensor, "*groups"]) -> tuple[Tensor | None, ...]:
        """Return the gradients for both samples, as far as they are asked for.

        Raises:
            RuntimeError: if a second derivative is prepared for.
        """
        if torch.is_grad_enabled():
            raise RuntimeError("the discrepancy of samples can be differentiated once only: leave create_graph False")
        rows, slope = context.saved_tensors
        first = context.num_generated
        parts = (slope[..., :first, :], slope[..., first:, :])
        factor = -gradient[..., None, None]
        of_samples = (
            factor * (part @ rows) if is_asked else None
            for part, is_asked in zip(parts, context.needs_input_grad, strict=False)
        )
        return *of_samples, None, None


def kernel_and_slope(
    squared_distances: Float[Tensor, "*any"], bandwidths: tuple[float, ...]
) -> tuple[Float[Tensor, "*any"], Float[Tensor, "*any"]]:
    """Return k = sum_v exp(-s / 2v) and its derivative for s, elementwise.

    Exponentials of bandwidths that divide the largest are products of those before them, 5 to 10 times as fast.
    """
    exponentials = squared_distances.new_empty(len(bandwidths), *squared_distances.shape)
    ordered = sorted(bandwidths, reverse=True)
    for exponential, bandwidth, factors in zip(exponentials, ordered, shared_factors(ordered), strict=True):
        if factors:
            torch.mul(exponentials[factors[0]], exponentials[factors[1]], out=exponential)
            for factor in factors[2:]:
                exponential *= exponentials[factor]
        else:
            torch.mul(squared_distances, -0.5 / bandwidth, out=exponential).exp_()
    coefficients = squared_distances.new_tensor([[1.0] * len(ordered), [-0.5 / bandwidth for bandwidth in ordered]])
    kernel, slope = (coefficients @ exponentials.flatten(1)).view(2, *squared_distances.shape)
    return kernel, slope


def shared_factors(descending: list[float]) -> list[list[int]]:
    """Return for each bandwidth the positions of earlier ones whose exponentials multiply to its own; none: empty.

    exp(-s / 2v) is exp(-s / 2V) to the power V / v, V the largest; powers add up where exponentials multiply.
    """
    powers: list[int] = []
    plan: list[list[int]] = []
    for bandwidth in descending:
        ratio = descending[0] / bandwidth
        power = round(ratio) if ratio < _LARGEST_POWER + 0.5 and abs(ratio - round(ratio)) < 1e-9 * ratio else 0
        factors, rest = [], power
        for position in range(len(powers) - 1, -1, -1):
            while 0 < powers[position] <= rest:
                factors.append(position)
                rest -= powers[position]
        plan.append(factors if rest == 0 and 2 <= len(factors) <= _MOST_FACTORS else [])
        powers.append(power)
    return plan


def _squared_distances(rows: Float[Tensor, "*groups R D"]) -> Float[Tensor, "*groups R R"]:
    """Return |y_i - y_j|^2 for all pairs of rows, exactly zero on the diagonal."""
    products = rows @ rows.mT
    norms = products.diagonal(dim1=-2, dim2=-1)
    squared: Tensor = (norms.unsqueeze(-1) + norms.unsqueeze(-2)).sub_(products, alpha=2).clamp_min_(0)
    return squared
