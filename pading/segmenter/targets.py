"""Label maps to what the criterion compares with: how much of every stride-4 cell each segment covers.

Axes: B images, M segments of an image (padded), S input side, h w = S / 4.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

CELL_PX = 4  # side of a mask cell in input pixels


@dataclass(frozen=True)
class Targets:
    """Segments of a batch at mask resolution; areas are fractions of a cell in [0, 1].

    `masks` is the area that a segment owns, `valid` the labelled area: the sum of `masks` over segments. Pixels without
    a label (void, crowd, letterbox padding) are in neither, so the mask losses, weighted by `valid`, never see them.
    A segment without any area is padding.
    """

    classes: Int[Tensor, "B M"]  # -1 = padding
    masks: Float[Tensor, "B M h w"]
    valid: Float[Tensor, "B h w"]
    image_ids: Int[Tensor, "B"]

    @property
    def is_segment(self) -> Bool[Tensor, "B M"]:
        """Return which of the padded segments exist."""
        return self.classes >= 0

    @property
    def num_masks(self) -> Int[Tensor, ""]:
        """Return how many segments the batch has."""
        return self.is_segment.sum()


def targets_from_batch(
    label_maps: UInt8[Tensor, "B S S"], classes: Int[Tensor, "B M"], image_ids: Int[Tensor, "B"] | None = None
) -> Targets:
    """Return the targets of a batch whose label maps hold 0 = unlabelled, m + 1 = segment m.

    Image ids are only for error messages; left out, they are the positions in the batch.

    Raises:
        ValueError: if shapes disagree, the side is not a multiple of 4, or a label has no segment.
    """
    batch, height, width = label_maps.shape
    num_segments = classes.shape[1]
    if classes.shape[0] != batch:
        raise ValueError(f"{batch} label maps but classes of {classes.shape[0]} images")
    if height % CELL_PX or width % CELL_PX:
        raise ValueError(f"label maps of {height} x {width} px: sides must be multiples of {CELL_PX}")
    if (highest := int(label_maps.max())) > num_segments:
        raise ValueError(f"label {highest} in a label map, but classes has room for {num_segments} segments")
    h, w = height // CELL_PX, width // CELL_PX
    pixels = (
        label_maps.view(batch, h, CELL_PX, w, CELL_PX).permute(0, 2, 4, 1, 3).reshape(batch, CELL_PX**2, h * w).long()
    )
    share = torch.full((1, 1, 1), 1 / CELL_PX**2, device=label_maps.device).expand_as(pixels)
    areas = share.new_zeros(batch, num_segments + 1, h * w).scatter_add_(1, pixels, share)
    exists = (classes >= 0) & (areas[:, 1:].sum(dim=2) > 0)
    masks = areas[:, 1:] * exists[..., None]
    return Targets(
        classes=classes.long().masked_fill(~exists, -1),
        masks=masks.view(batch, num_segments, h, w),
        valid=masks.sum(dim=1).view(batch, h, w),
        image_ids=torch.arange(batch, device=classes.device) if image_ids is None else image_ids,
    )
