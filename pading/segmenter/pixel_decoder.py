"""Backbone levels to mask features and decoder levels: a feature pyramid. Axes: B images, C channels, D width."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.segmenter.backbone import Level


class PyramidDecoder(nn.Module):
    """A feature pyramid: project every level to one width, add coarse to fine, smooth the finest into mask features."""

    def __init__(self, in_channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.num_levels = len(in_channels) - 1  # that the mask decoder gets
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in in_channels)
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, levels: list[Level]) -> tuple[Float[Tensor, "B D h w"], list[Level]]:
        """Return mask features at the finest stride, and the coarser levels, coarsest first, for the mask decoder."""
        merged: list[Level] = []
        for level, lateral in zip(reversed(levels), reversed(self.lateral), strict=True):
            features = lateral(level.features)
            if merged:
                features = features + F.interpolate(merged[-1].features, scale_factor=2.0, mode="nearest")
            merged.append(Level(level.stride, features))
        return self.smooth(merged[-1].features), merged[:-1]
