"""A 1x1 convolution as the matrix product that it is. Axes: B images, C channels."""

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
    return F.linear(cells, weight.flatten(1), bias).permute(0, 3, 1, 2)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution of stride 1."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, input: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h w"]:
        """Return the convolution."""
        return pointwise(input, self.weight, self.bias)
