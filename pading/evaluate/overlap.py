"""How the masks of all queries overlap all true segments: counted once per image, asked by every classifier.

Axes: Q queries, M true segments, L layers of overlapping segments, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Int64
from torch import Tensor

from pading.data.sample import Segment

PIXELS_PER_CHUNK = 16384  # float32 counts are exact far beyond, and one chunk stays in the processor's cache


@dataclass(frozen=True, kw_only=True, eq=False)
class Overlap:
    """IoU of every query's mask with every true segment; of a crowd, the share of the mask that lies in the crowd."""

    iou: Float64[np.ndarray, "Q M"]
    classes: Int64[np.ndarray, "M"]
    is_crowd: Bool[np.ndarray, "M"]


def overlap(masks: Bool[Tensor, "Q H W"], label_maps: Int[np.ndarray, "L H W"], segments: Sequence[Segment]) -> Overlap:
    """Return the overlaps of an image; label i + 1 of any layer is segments[i]. An empty mask overlaps nothing.

    Raises:
        ValueError: if masks and label maps differ in size.
    """
    if tuple(masks.shape[1:]) != label_maps.shape[1:]:
        raise ValueError(f"masks {tuple(masks.shape[1:])} and label maps {label_maps.shape[1:]} differ in size")
    layers = torch.from_numpy(label_maps.astype(np.int32)).flatten(1)  # (L, H*W)
    regions = torch.arange(len(segments) + 1, dtype=torch.int32)[:, None]  # void too, so that regions cover the image
    pixels = masks.flatten(1)
    counts = torch.zeros(len(masks), len(regions), dtype=torch.float64)
    mask_area = torch.zeros(len(masks), 1, dtype=torch.float64)
    for start in range(0, pixels.shape[1], PIXELS_PER_CHUNK):
        chunk = slice(start, start + PIXELS_PER_CHUNK)
        inside = pixels[:, chunk].float()
        for labels in layers[:, chunk]:
            counts += inside @ (labels == regions).float().T
        mask_area += inside.sum(dim=1, keepdim=True)
    intersection = counts[:, 1:].numpy()
    segment_area = np.bincount(label_maps.ravel(), minlength=len(regions))[1 : len(regions)]
    is_crowd = np.array([segment.is_crowd for segment in segments], dtype=bool)
    union = mask_area.numpy() + segment_area - intersection
    return Overlap(
        iou=intersection / np.maximum(np.where(is_crowd, mask_area.numpy(), union), 1),
        classes=np.array([segment.class_index for segment in segments], dtype=np.int64),
        is_crowd=is_crowd,
    )
