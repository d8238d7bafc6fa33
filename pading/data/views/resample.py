"""A view of decoded pixels: photos antialiased, label maps at the pixel centres.

Both take the same box of the photo to the same content, so they stay aligned. Axes: H W pixels of the photo, h w of the
content.
"""

import math

import cv2
import numpy as np
import torch
from jaxtyping import UInt, UInt8

from pading.data.jpeg import FACTORS, decode_jpeg
from pading.data.views.colour import recolour
from pading.data.views.jitter import View, letterbox_view

ROTATIONS = (None, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)


def put_photo(
    jpeg: bytes, file: str, height_width: tuple[int, int], view: View, canvas: UInt8[np.ndarray, "3 S S"]
) -> None:
    """Decode a photo of a known size no finer than a view needs it, and put the view on the canvas, top left.

    A canvas that lies channels last in memory is the faster one.

    Raises:
        ValueError: if the photo is damaged or of another size; names the file.
    """
    factor = coarsest_factor(view)
    image = decode_jpeg(jpeg, file, height_width, factor)
    top, left = view.top // factor, view.left // factor
    height, width = view.height / factor, view.width / factor  # the last coarse pixel may lie beyond the box in part
    content = _resize(
        image[top : top + math.ceil(height), left : left + math.ceil(width)],
        (height, width),
        (view.content_height, view.content_width),
    )
    _put(recolour(_turn(content, view), view.colour), canvas)


def view_of_labels(label_map: UInt[np.ndarray, "H W"], view: View) -> UInt[np.ndarray, "h w"]:
    """Return the label under the centre of each pixel of a view's content."""
    rows, columns = (
        start + (2 * np.arange(target) + 1) * length // (2 * target)
        for start, length, target in (
            (view.top, view.height, view.content_height),
            (view.left, view.width, view.content_width),
        )
    )
    sampled = label_map.take(rows, axis=0).take(columns[::-1] if view.is_mirrored else columns, axis=1)
    return np.rot90(sampled, view.quarter_turns)


def letterbox_image(image: UInt8[np.ndarray, "H W 3"], size_px: int) -> UInt8[np.ndarray, "3 S S"]:
    """Return a decoded photo as the network sees it: the longest side scaled to S, top left, the rest 0."""
    view = letterbox_view(image.shape[0], image.shape[1], size_px)
    letterboxed = np.zeros((3, size_px, size_px), dtype=np.uint8)
    _put(_resize(image, image.shape[:2], (view.content_height, view.content_width)), letterboxed)
    return letterboxed


def coarsest_factor(view: View) -> int:
    """Return the coarsest scale of the JPEG transform that still has a pixel for every pixel of the content.

    The view must begin where a coarse pixel begins.
    """
    for factor in FACTORS[:0:-1]:
        is_fine = view.height >= factor * view.content_height and view.width >= factor * view.content_width
        if is_fine and view.top % factor == view.left % factor == 0:
            return factor
    return 1


def _resize(
    image: UInt8[np.ndarray, "H W 3"], extent: tuple[float, float], target: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Sample height and width of an extent, from the top left, with a triangle filter.

    On each axis the triangle is twice as wide as a pixel of the coarser of source and target.
    """
    height, width = target
    if extent == image.shape[:2]:
        if extent == target:
            return image
        if height >= extent[0] and width >= extent[1]:
            return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    rows, columns, row_bytes = *image.shape[:2], image.strides[0]
    # Strides that say channels last outright: torch answers a plain permutation with planes, and takes twice as long.
    source = torch.from_numpy(np.require(image, requirements="W")).as_strided(
        (1, 3, rows, columns), (rows * row_bytes, 1, row_bytes, 3)
    )
    # The operator below `interpolate`, which would not take a target size together with a fractional extent.
    resized = torch.ops.aten._upsample_bilinear2d_aa(source, target, False, height / extent[0], width / extent[1])
    pixels: np.ndarray = resized[0].permute(1, 2, 0).numpy()
    return pixels


def _turn(content: UInt8[np.ndarray, "h w 3"], view: View) -> UInt8[np.ndarray, "..."]:
    """Mirror left to right, then turn counter-clockwise."""
    if view.is_mirrored:
        content = cv2.flip(content, 1)
    rotation = ROTATIONS[view.quarter_turns]
    return content if rotation is None else cv2.rotate(content, rotation)


def _put(content: UInt8[np.ndarray, "h w 3"], canvas: UInt8[np.ndarray, "3 S S"]) -> None:
    height, width, _ = content.shape
    canvas.transpose(1, 2, 0)[:height, :width] = content
