"""Backbone levels to mask features and one decoder level: MaskFormer's feature pyramid under group normalisation.

Axes: B images, C channels, D width.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.segmenter.backbone import Level
from pading.segmenter.deformable_decoder import NORM_GROUPS
from pading.segmenter.pointwise import Pointwise


class FpnDecoder(nn.Module):
    """Levels are brought to one width and added coarse to fine, a 3x3 convolution after each sum.

    The mask decoder gets the backbone's last level alone, projected to the width: the pyramid serves the masks, and
    queries look at what the backbone knows.
    """

    num_levels = 1  # that the mask decoder gets

    def __init__(self, in_channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        *finer, coarsest = in_channels
        self.project = Pointwise(coarsest, width)
        self.stem = _smooth(coarsest, width)
        self.laterals = nn.ModuleList(  # coarsest first, as are the next
            nn.Sequential(Pointwise(channels, width, bias=False), nn.GroupNorm(NORM_GROUPS, width))
            for channels in reversed(finer)
        )
        self.merges = nn.ModuleList(_smooth(width, width) for _ in finer)
        self.mask_features = nn.Conv2d(width, width, 3, 1, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, levels: list[Level]) -> tuple[Float[Tensor, "B D h w"], list[Level]]:
        """Return mask features at the finest stride, and the coarsest level for the mask decoder."""
        *finer, coarsest = levels
        x = self.stem(coarsest.features)
        for level, lateral, merge in zip(reversed(finer), self.laterals, self.merges, strict=True):
            beside = lateral(level.features)
            x = merge(beside + F.interpolate(x, size=beside.shape[-2:], mode="nearest"))
        return self.mask_features(x), [Level(coarsest.stride, self.project(coarsest.features))]


def _smooth(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, 1, 1, bias=False), nn.GroupNorm(NORM_GROUPS, width), nn.ReLU(inplace=True)
    )
