"""Image to multi-scale features.

A backbone maps a normalised image to a list of `Level`, finest first; nothing downstream asks for more.
Axes: B images, C channels.
"""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Level(NamedTuple):
    """Features of one resolution; `stride` is the side of a feature cell in input pixels."""

    stride: int
    features: Float[Tensor, "B C h w"]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip; the skip is projected where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.skip = (
            nn.Identity()
            if stride == 1 and in_channels == channels
            else nn.Conv2d(in_channels, channels, stride, stride)
        )

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C2 h2 w2"]:
        """Return the block's output, rectified."""
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.skip(x))


class ConvBackbone(nn.Module):
    """A small residual network: a stem down to stride 4, then a stage of residual blocks for strides 4, 8, ...

    Batch normalisation, because from scratch it learns classes in half the steps of group normalisation. Each worker
    uses the statistics of its own images; evaluation mode uses the running ones, and so must everything after training.
    """

    def __init__(self, channels: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        half = channels[0] // 2
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 3, 2, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, channels[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.ModuleList()
        previous = channels[0]
        for index, (width, depth) in enumerate(zip(channels, blocks, strict=True)):
            first = 1 if index == 0 else 2
            self.stages.append(
                nn.Sequential(
                    *(ResidualBlock(previous if i == 0 else width, width, first if i == 0 else 1) for i in range(depth))
                )
            )
            previous = width

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Level]:
        """Return one level a stage, finest (stride 4) first."""
        features, levels = self.stem(images), []
        for index, stage in enumerate(self.stages):
            features = stage(features)
            levels.append(Level(4 << index, features))
        return levels
