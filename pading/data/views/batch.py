"""Shard rows to arrays of a fixed size: decoded, cut to the views that are asked for, ready for the network.

Axes: B images, L layers of overlapping segments, M segments of an image (padded), S side of the network input.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from pading.data.shards.rows import decode_row_labels, row_name
from pading.data.views.jitter import View
from pading.data.views.labels import MAX_SEGMENTS, compact_labels, pad_labels
from pading.data.views.memory import fresh_zeros
from pading.data.views.resample import put_photo, view_of_labels


@dataclass(frozen=True)
class Batch:
    """Images of one size with their segments: label m + 1 in a label map is the segment of class `classes[:, m]`.

    Label 0 is background, where no segment is; a pixel to ignore says so in layer 0 and is 0 in the others.
    """

    images: UInt8[Tensor, "B 3 S S"]
    label_maps: UInt8[Tensor, "B L S S"]
    classes: Int[Tensor, "B M"]  # -1 = padding
    image_ids: Int[Tensor, "B"]

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> "Batch":
        """Take what `batch_arrays` returned, or rows of several such results; memory is shared where it is writable."""
        names = ("images", "label_maps", "classes", "image_ids")
        return Batch(*(torch.from_numpy(np.require(arrays[name], requirements="W")) for name in names))

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on a device."""
        parts = (self.images, self.label_maps, self.classes, self.image_ids)
        return Batch(*(part.to(device, non_blocking=True) for part in parts))


def batch_arrays(
    rows: Mapping[str, Sequence[Any]],
    views: Sequence[View],
    size_px: int,
    max_segments: int,
    *,
    has_background: bool,
    zeros: Callable[[tuple[int, ...]], np.ndarray] = fresh_zeros,
) -> dict[str, np.ndarray]:
    """Decode columns of shard rows and return one view of each, as `Batch.from_arrays` takes them.

    Crowds are ignored where no other segment lies on them. Segments without a pixel in the view get no label; of more
    than `max_segments` the largest in the view are kept and the rest are ignored. Unlabelled pixels of a shard are
    background where `has_background` (instances), otherwise void, and ignored. There are as many layers as the image
    with the most overlapping segments needs. Images and label maps lie in what `zeros` returns.

    Raises:
        ValueError: if a row is damaged, there is not a view for each, a view does not fit its photo or the canvas, or
            `max_segments` is not within 1 and 254.
    """
    if not 1 <= max_segments <= MAX_SEGMENTS:
        raise ValueError(f"max_segments is {max_segments}; labels are 8-bit, use 1 to {MAX_SEGMENTS}")
    if len(views) != len(rows["image_id"]):
        raise ValueError(f"{len(rows['image_id'])} rows but {len(views)} views; give a view for each row")
    cv2.setNumThreads(1)  # one image at a time and a process a core, as the stream runs it
    num_images = len(views)
    # Channels last, as photos are decoded and as convolutions like them; seen with the channels first.
    images = zeros((num_images, size_px, size_px, 3)).transpose(0, 3, 1, 2)
    classes = np.full((num_images, max_segments), -1, dtype=np.int64)
    contents = []
    for position, view in enumerate(views):
        row = {name: column[position] for name, column in rows.items()}
        label_maps = decode_row_labels(row)
        _, height, width = label_maps.shape
        _check_view(view, height, width, size_px, row_name(row))
        put_photo(row["image"], row_name(row), (height, width), view, images[position])
        layers = [view_of_labels(layer, view) for layer in label_maps]
        labels, kept = compact_labels(layers, row["segments"], max_segments, has_background)
        classes[position, : len(kept)] = kept
        contents.append(labels)
    return {
        "images": images,
        "label_maps": pad_labels(contents, size_px, zeros),
        "classes": classes,
        "image_ids": np.asarray(rows["image_id"], dtype=np.int64),
    }


def _check_view(view: View, height: int, width: int, size_px: int, file: str) -> None:
    inside = (
        0 <= view.top < view.top + view.height <= height
        and 0 <= view.left < view.left + view.width <= width
        and 0 < view.content_height <= size_px
        and 0 < view.content_width <= size_px
    )
    if not inside:
        raise ValueError(f"{file}: {view} is not within a photo of {width} x {height} and a canvas of {size_px} px")
