"""Label maps to what the criterion compares with: how much of every stride-4 cell each segment covers.

Axes: B images, L layers of overlapping segments, M segments of an image (padded), S input side, h w = S / 4.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from pading.data.views.labels import IGNORED

CELL_PX = 4  # side of a mask cell in input pixels


@dataclass(frozen=True)
class Targets:
    """Segments of a batch at mask resolution; areas are fractions of a cell in [0, 1].

    `masks` is the area that a segment owns; segments may overlap. `valid` is the area that is not ignored. Ignored
    pixels (void, crowd, padding) are in neither, so the mask losses, weighted by `valid`, never see them; background is
    in `valid` only, and counts against every mask. A segment without any area is padding.
    """

    classes: Int[Tensor, "B M"]  # -1 = padding
    masks: Float[Tensor, "B M h w"]
    valid: Float[Tensor, "B h w"]
    image_ids: Int[Tensor, "B"]

    @property
    def is_segment(self) -> Bool[Tensor, "B M"]:
        """Return which of the padded segments exist."""
        return self.classes >= 0

    def split(self, parts: int) -> list["Targets"]:
        """Cut the batch into equal parts, in order."""
        fields = (self.classes, self.masks, self.valid, self.image_ids)
        return [Targets(*part) for part in zip(*(field.chunk(parts) for field in fields), strict=True)]

    @property
    def num_masks(self) -> Int[Tensor, ""]:
        """Return how many segments the batch has."""
        return self.is_segment.sum()


def targets_from_batch(
    label_maps: UInt8[Tensor, "B L S S"], classes: Int[Tensor, "B M"], image_ids: Int[Tensor, "B"] | None = None
) -> Targets:
    """Return the targets of a batch whose label maps hold 0 = background, m + 1 = segment m, 255 = ignored.

    A pixel is ignored in layer 0, and then has no label in any other. Image ids are only for error messages; left out,
    they are the positions in the batch.

    Raises:
        ValueError: if shapes disagree, the side is not a multiple of 4, a label has no segment, or layers contradict
            each other.
    """
    batch, layers, height, width = label_maps.shape
    num_segments = classes.shape[1]
    if classes.shape[0] != batch:
        raise ValueError(f"{batch} label maps but classes of {classes.shape[0]} images")
    if height % CELL_PX or width % CELL_PX:
        raise ValueError(f"label maps of {height} x {width} px: sides must be multiples of {CELL_PX}")
    if layers > 1:
        _check_layers(label_maps)
    rows = label_maps + 1  # 0 = ignored, as 8 bits wrap around; 1 = background; m + 2 = segment m
    if (highest := int(rows.max()) - 1) > num_segments:
        raise ValueError(f"label {highest} in a label map, but classes has room for {num_segments} segments")
    h, w = height // CELL_PX, width // CELL_PX
    pixels = (
        rows.view(batch, layers, h, CELL_PX, w, CELL_PX)
        .permute(0, 1, 3, 5, 2, 4)
        .reshape(batch, layers * CELL_PX**2, h * w)
        .long()
    )
    share = torch.full((1, 1, 1), 1 / CELL_PX**2, device=label_maps.device).expand_as(pixels)
    areas = share.new_zeros(batch, num_segments + 2, h * w).scatter_add_(1, pixels, share)
    exists = (classes >= 0) & (areas[:, 2:].sum(dim=2) > 0)
    masks = areas[:, 2:] * exists[..., None]
    return Targets(
        classes=classes.long().masked_fill(~exists, -1),
        masks=masks.view(batch, num_segments, h, w),
        valid=(1 - areas[:, 0]).view(batch, h, w),
        image_ids=torch.arange(batch, device=classes.device) if image_ids is None else image_ids,
    )


def _check_layers(label_maps: UInt8[Tensor, "B L S S"]) -> None:
    """Refuse what would give a mask more area than there is to compare."""
    first, others = label_maps[:, :1], label_maps[:, 1:]
    if bool(((others == IGNORED) | ((first == IGNORED) & (others != 0))).any()):
        raise ValueError(
            f"label maps say ignored ({IGNORED}) beyond the first layer, or label a pixel that it ignores: "
            "ignore a pixel in the first layer alone"
        )
