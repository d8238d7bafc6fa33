"""A 1x1 convolution as the matrix product that it is. Axes: B images, C channels."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def pointwise(
    x: Float[Tensor, "B C h w"], weight: Float[Tensor, "C2 C 1 1"], bias: Float[Tensor, "C2"] | None, stride: int = 1
) -> Float[Tensor, "B C2 h2 w2"]:
    """Return the convolution of maps whose channels lie together in memory, as those of the result do.

    On one CPU core torch takes a slow path for these convolutions, half of a ResNet.
    """
    cells = x[:, :, ::stride, ::stride].permute(0, 2, 3, 1)
    if torch.compiler.is_compiling():
        return F.linear(cells, weight.flatten(1), bias).permute(0, 3, 1, 2)
    maps: Tensor = _Product.apply(cells, weight.flatten(1), bias)  # type: ignore[no-untyped-call]
    return maps


class _Product(torch.autograd.Function):
    """cells @ weight.T + bias as maps that own their memory.

    A permuted product is a view, and a residual block goes on by changing it in place: autograd then copies the
    gradient of the whole map three times for every such step.
    """

    @staticmethod
    def forward(ctx: Any, cells: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        product = F.linear(cells, weight, bias)
        ctx.save_for_backward(cells, weight)
        maps = product.permute(0, 3, 1, 2)
        owner: Tensor = product.new_empty(0)
        return owner.set_(product.untyped_storage(), maps.storage_offset(), maps.shape, maps.stride())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        cells, weight = ctx.saved_tensors
        gradient = gradients[0].permute(0, 2, 3, 1)  # of the precision in which the product was made
        of_cells, of_weight, of_bias = ctx.needs_input_grad
        rows = gradient.flatten(0, 2)
        return (
            gradient @ weight.to(gradient.dtype) if of_cells else None,
            rows.T @ cells.to(gradient.dtype).flatten(0, 2) if of_weight else None,
            rows.sum(dim=0) if of_bias else None,
        )


class Pointwise(nn.Conv2d):
    """A 1x1 convolution of stride 1."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, input: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h w"]:
        """Return the convolution."""
        return pointwise(input, self.weight, self.bias)
