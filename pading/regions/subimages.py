"""Sub-images: what lies under each mask of a photo, resampled to the input of an image encoder (ZegFormer's f).

All masks of a photo are cut in one call. Bilinear resampling of an axis-aligned box is a product of one matrix for its
rows and one for its columns, so RoIAlign is two batched products over windows just larger than the boxes. Axes: Q
queries, H W pixels of the photo, h w pixels of a window, S pixels of a sub-image's side.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

SubImage = Literal["crop", "mask", "crop+mask"]
SUB_IMAGES: tuple[SubImage, ...] = ("crop", "mask", "crop+mask")
VALUES_TOGETHER = 2**21  # of the windows that are resampled at once


def mask_boxes(is_inside: Bool[Tensor, "Q H W"]) -> Int64[Tensor, "Q 4"]:
    """Return the tight box of each mask: top, left, bottom, right, the last two exclusive; an empty mask's is all."""
    (top, bottom), (left, right) = (_ends(is_inside.any(dim=axis)) for axis in (2, 1))
    return torch.stack([top, left, bottom, right], dim=1)


def sub_images(
    pixels: Float[Tensor, "3 H W"], is_inside: Bool[Tensor, "Q H W"], style: SubImage, side_px: int
) -> Float[Tensor, "Q 3 S S"]:
    """Return the sub-image of each mask.

    `crop` is the box of the photo as it is. `mask` is the whole photo, 0 outside the mask: pixels come normalised, so
    that 0 is the mean colour. `crop+mask` is the box of that. Aspect ratios are not kept.
    """
    boxes = mask_boxes(is_inside)
    if style == "mask":
        boxes = boxes.new_tensor([0, 0, *pixels.shape[1:]]).expand_as(boxes)
    return roi_align(pixels, boxes, side_px, None if style == "crop" else is_inside)


def roi_align(
    pixels: Float[Tensor, "C H W"],
    boxes: Int64[Tensor, "Q 4"],
    side_px: int,
    is_inside: Bool[Tensor, "Q H W"] | None = None,
) -> Float[Tensor, "Q C S S"]:
    """Resample boxes (top, left, bottom, right) of one image to squares; with masks, of the image times each box's own.

    Equals RoIAlign with aligned corners and the adaptive number of samples: an output pixel is the mean of
    ceil(box / S) bilinear samples along each axis.
    """
    resampled = pixels.new_empty(len(boxes), len(pixels), side_px, side_px)
    areas = ((boxes[:, 2:] - boxes[:, :2]).prod(dim=1)).cpu()
    order = areas.argsort()  # windows of one chunk are made equally large, so boxes of a size go together
    start = 0
    while start < len(order):
        stop = _chunk_end(areas[order], start, len(pixels))
        chunk = order[start:stop].to(boxes.device)
        rows, of_rows = _axis(boxes[chunk, 0], boxes[chunk, 2], pixels.shape[1], side_px)
        columns, of_columns = _axis(boxes[chunk, 1], boxes[chunk, 3], pixels.shape[2], side_px)
        rows, columns = rows[:, :, None], columns[:, None, :]
        windows = pixels[:, rows, columns]  # (C, Q, h, w)
        if is_inside is not None:
            windows = windows * is_inside[chunk[:, None, None], rows, columns]
        squares = of_rows.to(pixels.dtype) @ windows @ of_columns.to(pixels.dtype).mT  # (C, Q, S, S)
        resampled[chunk] = squares.transpose(0, 1)
        start = stop
    return resampled


def _chunk_end(sorted_areas: Int64[Tensor, "Q"], start: int, channels: int) -> int:
    """Return where a chunk of boxes ends whose windows are about VALUES_TOGETHER values, or one box."""
    values = channels * sorted_areas[start:] * torch.arange(1, len(sorted_areas) - start + 1)
    return start + max(1, int((values <= VALUES_TOGETHER).sum()))


def _axis(
    low: Int64[Tensor, "Q"], high: Int64[Tensor, "Q"], length: int, side_px: int
) -> tuple[Int64[Tensor, "Q h"], Float[Tensor, "Q S h"]]:
    """Return, along one axis, the source pixels of each box's window and their weights in every output pixel."""
    extent = (high - low).double()
    num_samples = (extent / side_px).ceil()[:, None, None]  # of each output pixel
    sample = torch.arange(int(num_samples.max()), device=low.device)
    output = torch.arange(side_px, device=low.device)[:, None]
    within = output + (sample + 0.5) / num_samples  # (Q, S, samples), in output pixels
    # The centre of source pixel i lies at i + 0.5; beyond the outermost centres the outermost pixel goes on.
    at = (low[:, None, None] - 0.5 + within * extent[:, None, None] / side_px).clamp(0, length - 1)
    before = at.floor()
    share = (sample < num_samples) / num_samples
    first = low - 1  # samples next to the border lie between a pixel of the box and one outside
    window = first[:, None] + torch.arange(int(extent.max()) + 2, device=low.device)
    weights = torch.zeros(len(low), side_px, window.shape[1], dtype=torch.float64, device=low.device)
    for pixel, part in ((before, 1 - (at - before)), ((before + 1).clamp(max=length - 1), at - before)):
        weights.scatter_add_(2, pixel.long() - first[:, None, None], share * part)
    return window.clamp(0, length - 1), weights


def _ends(is_present: Bool[Tensor, "Q L"]) -> tuple[Int64[Tensor, "Q"], Int64[Tensor, "Q"]]:
    """Return the first present position and the one after the last; all of the axis where there is none."""
    length = is_present.shape[1]
    marks = is_present.to(torch.uint8)
    is_empty = ~is_present.any(dim=1)
    first = marks.argmax(dim=1)
    last = length - marks.flip(1).argmax(dim=1)
    return first.masked_fill(is_empty, 0), last.masked_fill(is_empty, length)
