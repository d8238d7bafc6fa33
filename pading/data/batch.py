"""Shard rows to arrays of a fixed size: decoded, letterboxed, ready for the network.

Letterboxed: the longest side scaled to S, the content in the top left corner, the rest 0.
Axes: B images, M segments of an image (padded), S side of the network input, H W pixels of a photo.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8, UInt16
from PIL import Image
from torch import Tensor

from pading.data.errors import DataError
from pading.data.images import MAX_PIXELS, decode_photo, open_photo
from pading.data.shards import WRITE_AGAIN, decode_row_labels, row_name

MAX_SEGMENTS = 255  # labels are 8-bit, 0 is void
DRAFT_GAP = 2  # a JPEG may be decoded at a coarser scale that is still this many times finer than what is asked for


@dataclass(frozen=True)
class Batch:
    """Images of one size with their segments: label m + 1 in a label map is the segment of class `classes[:, m]`."""

    images: UInt8[Tensor, "B 3 S S"]
    label_maps: UInt8[Tensor, "B S S"]  # 0 = void, crowd or padding
    classes: Int[Tensor, "B M"]  # -1 = padding
    image_ids: Int[Tensor, "B"]

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> "Batch":
        """Take what `batch_arrays` returned, or rows of several such results; memory is shared where it is writable."""
        names = ("images", "label_maps", "classes", "image_ids")
        return Batch(*(torch.from_numpy(np.require(arrays[name], requirements=["C", "W"])) for name in names))

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        parts = (self.images, self.label_maps, self.classes, self.image_ids)
        return Batch(*(part.to(device, non_blocking=True) for part in parts))


def batch_arrays(rows: Mapping[str, Sequence[Any]], size_px: int, max_segments: int) -> dict[str, np.ndarray]:
    """Decode and letterbox columns of shard rows: bilinear with antialiasing for photos, nearest for label maps.

    Segments that are crowds, or have no pixel left at this size, get no label; of more than `max_segments` the largest
    at this size are kept and the rest become void (0).

    Raises:
        ValueError: if a row is damaged, or more than 255 segments are asked for.
    """
    if not 1 <= max_segments <= MAX_SEGMENTS:
        raise ValueError(f"max_segments is {max_segments}; labels are 8-bit, use 1 to {MAX_SEGMENTS}")
    num_images = len(rows["image_id"])
    images = np.zeros((num_images, 3, size_px, size_px), dtype=np.uint8)
    label_maps = np.zeros((num_images, size_px, size_px), dtype=np.uint8)
    classes = np.full((num_images, max_segments), -1, dtype=np.int64)
    for position in range(num_images):
        row = {name: column[position] for name, column in rows.items()}
        label_map = decode_row_labels(row)
        height, width = letterbox_size(label_map.shape[0], label_map.shape[1], size_px)
        photo = _decode_at_least(row["image"], row_name(row), label_map.shape, (height, width))
        images[position, :, :height, :width] = np.asarray(photo).transpose(2, 0, 1)
        labels, kept = _compact(_resize_nearest(label_map, height, width), row["segments"], max_segments)
        label_maps[position, :height, :width] = labels
        classes[position, : len(kept)] = kept
    image_ids = np.asarray(rows["image_id"], dtype=np.int64)
    return {"images": images, "label_maps": label_maps, "classes": classes, "image_ids": image_ids}


def letterbox_size(height: int, width: int, size_px: int) -> tuple[int, int]:
    """Return the height and width of the content: the longest side is `size_px`, the other is rounded, at least 1."""
    longest = max(height, width)
    content_height, content_width = ((2 * side * size_px + longest) // (2 * longest) for side in (height, width))
    return max(content_height, 1), max(content_width, 1)


def letterbox_image(image: UInt8[np.ndarray, "H W 3"], size_px: int) -> UInt8[np.ndarray, "3 S S"]:
    """Return a decoded photo as `batch_arrays` lays it out."""
    height, width = letterbox_size(image.shape[0], image.shape[1], size_px)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    letterboxed = np.zeros((3, size_px, size_px), dtype=np.uint8)
    letterboxed[:, :height, :width] = np.asarray(resized).transpose(2, 0, 1)
    return letterboxed


def augment(batch: Batch, generator: torch.Generator, *, turns: bool = False) -> Batch:
    """Flip each image, with its label map, left to right with probability 1/2.

    With `turns`, for worlds that have no up and down, one of the eight symmetries of the square is drawn instead. The
    whole square is moved: the padding of an upright photo goes to the left.
    """
    draws = torch.rand(3, len(batch.images), generator=generator, device=generator.device)
    mirrored, upturned, transposed = (draws < 0.5).to(batch.images.device)
    images, label_maps = _move(batch.images, batch.label_maps, mirrored, lambda pixels: pixels.flip(-1))
    if turns:
        images, label_maps = _move(images, label_maps, upturned, lambda pixels: pixels.flip(-2))
        images, label_maps = _move(images, label_maps, transposed, lambda pixels: pixels.transpose(-1, -2))
    return Batch(images, label_maps, batch.classes, batch.image_ids)


def _move(
    images: Tensor, label_maps: Tensor, chosen: Bool[Tensor, "B"], move: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Move the chosen images and their label maps, and leave the others."""
    return (
        torch.where(chosen[:, None, None, None], move(images), images),
        torch.where(chosen[:, None, None], move(label_maps), label_maps),
    )


def _decode_at_least(
    jpeg: bytes, file: str, height_width: tuple[int, ...], content: tuple[int, int], max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decode a JPEG straight to the content size, at a coarser scale of its transform where that loses nothing."""
    photo = open_photo(io.BytesIO(jpeg), file, max_pixels)
    if (photo.height, photo.width) != height_width:
        what = f"photo is {photo.width} x {photo.height}, label map {height_width[1]} x {height_width[0]}"
        raise DataError(file, what, WRITE_AGAIN)
    height, width = content
    draft = photo.draft("RGB", (DRAFT_GAP * width, DRAFT_GAP * height))
    box = draft[1] if draft else None  # the photo inside the draft, whose sides are rounded up
    return decode_photo(photo, file).resize((width, height), Image.Resampling.BILINEAR, box=box)


def _resize_nearest(label_map: UInt16[np.ndarray, "H W"], height: int, width: int) -> UInt16[np.ndarray, "h w"]:
    """Sample the label under the centre of each target pixel."""
    rows, columns = (
        (2 * np.arange(target) + 1) * source // (2 * target)
        for target, source in zip((height, width), label_map.shape, strict=True)
    )
    sampled: UInt16[np.ndarray, "h w"] = label_map[rows[:, None], columns]
    return sampled


def _compact(
    label_map: UInt16[np.ndarray, "h w"], segments: Sequence[Mapping[str, Any]], max_segments: int
) -> tuple[UInt8[np.ndarray, "h w"], list[int]]:
    """Renumber the segments to keep from 1 and return their classes, in the order of the row."""
    areas = np.bincount(label_map.ravel(), minlength=len(segments) + 1)[1:]
    present = [i for i, segment in enumerate(segments) if areas[i] and not segment["is_crowd"]]
    kept = sorted(sorted(present, key=lambda i: -areas[i])[:max_segments])
    renumber = np.zeros(len(segments) + 1, dtype=np.uint8)
    renumber[[i + 1 for i in kept]] = np.arange(1, len(kept) + 1)
    return renumber[label_map], [int(segments[i]["class_index"]) for i in kept]
