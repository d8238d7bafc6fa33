"""Backbone levels to mask features and decoder levels: Mask2Former's encoder of deformable attention.

Axes: B images, C channels, N cells of all levels but the finest, D width.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.segmenter.backbone import Level
from pading.segmenter.deformable import DeformableAttention
from pading.segmenter.pointwise import Pointwise
from pading.segmenter.position import published_positions

NORM_GROUPS = 32


class EncoderLayer(nn.Module):
    """Deformable self-attention over the cells of all levels, then feed-forward; LayerNorm after each residual."""

    def __init__(self, width: int, heads: int, levels: int, points: int, feedforward_width: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, heads, levels, points)
        self.attention_norm = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward_width), nn.ReLU(), nn.Linear(feedforward_width, width)
        )
        self.feedforward_norm = nn.LayerNorm(width)

    def forward(
        self,
        cells: Float[Tensor, "B N D"],
        position: Float[Tensor, "N D"],
        sizes: list[tuple[int, int]],
        reference: Float[Tensor, "N 2"],
    ) -> Float[Tensor, "B N D"]:
        """Return the next state of the cells."""
        cells = self.attention_norm(cells + self.attention(cells + position, cells, sizes, reference))
        refined: Tensor = self.feedforward_norm(cells + self.feedforward(cells))
        return refined


class DeformableDecoder(nn.Module):
    """All levels but the finest exchange what they see; one pyramid step then brings it to the finest stride."""

    def __init__(
        self,
        in_channels: tuple[int, ...],
        width: int,
        *,
        layers: int,
        heads: int,
        points: int,
        feedforward_width: int,
    ) -> None:
        super().__init__()
        if width % NORM_GROUPS:
            raise ValueError(f"a width of {width} does not split into {NORM_GROUPS} groups; choose a multiple")
        finest, *coarser = in_channels
        self.num_levels = len(coarser)  # that the mask decoder gets
        self.inputs = nn.ModuleList(  # coarsest first
            nn.Sequential(Pointwise(channels, width), nn.GroupNorm(NORM_GROUPS, width))
            for channels in reversed(coarser)
        )
        self.level = nn.Embedding(len(coarser), width)
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, len(coarser), points, feedforward_width) for _ in range(layers)
        )
        self.lateral = nn.Sequential(Pointwise(finest, width, bias=False), nn.GroupNorm(NORM_GROUPS, width))
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.GroupNorm(NORM_GROUPS, width), nn.ReLU(inplace=True)
        )
        self.mask_features = Pointwise(width, width)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, levels: list[Level]) -> tuple[Float[Tensor, "B D h w"], list[Level]]:
        """Return mask features at the finest stride, and the coarser levels, coarsest first, for the mask decoder."""
        finest, *coarser = levels
        coarser = coarser[::-1]
        maps = [project(level.features) for project, level in zip(self.inputs, coarser, strict=True)]
        sizes = [(features.shape[2], features.shape[3]) for features in maps]
        device, width = maps[0].device, maps[0].shape[1]
        position = torch.cat(
            [published_positions(*size, width, device) + self.level.weight[index] for index, size in enumerate(sizes)]
        )
        reference = torch.cat([cell_centres(*size, device) for size in sizes])
        cells = torch.cat([features.flatten(2) for features in maps], dim=2).transpose(1, 2)  # (B, N, D)
        for layer in self.layers:
            cells = layer(cells, position, sizes, reference)
        parts = torch.split(cells.transpose(1, 2), [height * width for height, width in sizes], dim=2)
        refined = [
            Level(level.stride, part.reshape(*part.shape[:2], *size))
            for level, part, size in zip(coarser, parts, sizes, strict=True)
        ]
        lateral = self.lateral(finest.features)
        coarse = F.interpolate(refined[-1].features, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        return self.mask_features(self.smooth(lateral + coarse)), refined


def cell_centres(height: int, width: int, device: torch.device) -> Float[Tensor, "N 2"]:
    """Return (x, y) of every cell's centre in [0, 1], row-major."""
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=2).flatten(0, 1)
