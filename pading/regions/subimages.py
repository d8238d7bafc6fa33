"""Sub-images: what lies under each mask of a photo, resampled to the input of an image encoder (ZegFormer's f).

All masks of a photo are cut in one call. Bilinear resampling of an axis-aligned box is a product of one matrix for its
rows and one for its columns, so RoIAlign is two batched products. Axes: Q queries, H W pixels of the photo, S pixels of
a sub-image's side, C channels.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

SubImage = Literal["crop", "mask", "crop+mask"]
SUB_IMAGES: tuple[SubImage, ...] = ("crop", "mask", "crop+mask")
VALUES_TOGETHER = 2**22  # of the masked photos that are held at once


def mask_boxes(is_inside: Bool[Tensor, "Q H W"]) -> Int64[Tensor, "Q 4"]:
    """Return the tight box of each mask: top, left, bottom, right, the last two exclusive; an empty mask's is all."""
    (top, bottom), (left, right) = (_ends(is_inside.any(dim=axis)) for axis in (2, 1))
    return torch.stack([top, left, bottom, right], dim=1)


def sub_images(
    pixels: Float[Tensor, "3 H W"], is_inside: Bool[Tensor, "Q H W"], style: SubImage, side_px: int
) -> Iterator[Float[Tensor, "q 3 S S"]]:
    """Yield the sub-images of all masks, some at a time and in order.

    `crop` is the box of the photo as it is. `mask` is the whole photo, 0 outside the mask: pixels come normalised, so
    that 0 is the mean colour. `crop+mask` is the box of that. Aspect ratios are not kept.
    """
    height, width = pixels.shape[1:]
    boxes = mask_boxes(is_inside)
    if style == "mask":
        boxes = boxes.new_tensor([0, 0, height, width]).expand_as(boxes)
    num_together = max(1, VALUES_TOGETHER // pixels.numel())
    for start in range(0, len(boxes), num_together):
        chunk = slice(start, start + num_together)
        source = pixels[None] if style == "crop" else pixels * is_inside[chunk, None]
        yield roi_align(source, boxes[chunk], side_px)


def roi_align(images: Float[Tensor, "N C H W"], boxes: Int64[Tensor, "Q 4"], side_px: int) -> Float[Tensor, "Q C S S"]:
    """Resample one box (top, left, bottom, right) of each image, or several boxes of one image, to a square.

    Equals RoIAlign with aligned corners and the adaptive number of samples: an output pixel is the mean of
    ceil(box / S) bilinear samples along each axis.
    """
    top, left, bottom, right = boxes.unbind(1)
    of_rows = _axis_weights(top, bottom, images.shape[2], side_px).to(images.dtype)  # (Q, S, H)
    of_columns = _axis_weights(left, right, images.shape[3], side_px).to(images.dtype)  # (Q, S, W)
    return of_rows[:, None] @ images @ of_columns[:, None].mT


def _axis_weights(
    low: Int64[Tensor, "Q"], high: Int64[Tensor, "Q"], length: int, side_px: int
) -> Float[Tensor, "Q S L"]:
    """Return the weight of every source pixel in every output pixel, along one axis."""
    extent = (high - low).double()
    num_samples = (extent / side_px).ceil()  # of each output pixel
    sample = torch.arange(int(num_samples.max()), device=low.device)
    output = torch.arange(side_px, device=low.device)[:, None]
    within = output + (sample + 0.5) / num_samples[:, None, None]  # (Q, S, samples), in output pixels
    # The centre of source pixel i lies at i + 0.5; beyond the outermost centres the outermost pixel goes on.
    at = low[:, None, None] - 0.5 + within * extent[:, None, None] / side_px
    at = at.clamp(0, length - 1)
    before = at.floor()
    share = (sample < num_samples[:, None, None]) / num_samples[:, None, None]
    weights = torch.zeros(len(low), side_px, length, dtype=torch.float64, device=low.device)
    after = (before + 1).clamp(max=length - 1)
    weights.scatter_add_(2, before.long(), share * (1 - (at - before)))
    weights.scatter_add_(2, after.long(), share * (at - before))
    return weights


def _ends(is_present: Bool[Tensor, "Q L"]) -> tuple[Int64[Tensor, "Q"], Int64[Tensor, "Q"]]:
    """Return the first present position and the one after the last; all of the axis where there is none."""
    length = is_present.shape[1]
    marks = is_present.to(torch.uint8)
    is_empty = ~is_present.any(dim=1)
    first = marks.argmax(dim=1)
    last = length - marks.flip(1).argmax(dim=1)
    return first.masked_fill(is_empty, 0), last.masked_fill(is_empty, length)
