"""Segments of a view to 8-bit labels: which get one, and which pixels no loss may see.

Axes: L layers of overlapping segments, S side of the network input, h w pixels of a view's content.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Int64, UInt, UInt8

from pading.data.views.memory import fresh_zeros

IGNORED = 255  # a pixel that no loss may see: void, a crowd, padding
MAX_SEGMENTS = IGNORED - 1  # labels are 8-bit, 0 is background


def compact_labels(
    layers: Sequence[UInt[np.ndarray, "h w"]], segments: Sequence[Any], max_segments: int, has_background: bool
) -> tuple[list[UInt8[np.ndarray, "h w"]], list[int]]:
    """Number the segments that can be seen from 1, in their order, and return the layers with the classes.

    Of more than `max_segments` the largest are kept. Crowds and the rest are ignored where no kept segment lies on
    them, and so is label 0 unless it means background. Layers but the first vanish when no kept segment is in them.
    """
    num_labels = len(segments) + 1
    areas = np.stack([_count(layer, num_labels)[1:] for layer in layers])  # (L, all segments)
    total = areas.sum(axis=0)
    seen = [i for i, segment in enumerate(segments) if total[i] and not segment["is_crowd"]]
    kept = sorted(sorted(seen, key=lambda i: -total[i])[:max_segments])
    label_of = np.full(max(num_labels, 256), IGNORED, dtype=np.uint8)
    label_of[[i + 1 for i in kept]] = np.arange(1, len(kept) + 1)
    if has_background:
        label_of[0] = 0
    labels = [_look_up(layer, label_of) for layer in layers]
    if len(labels) > 1:
        first, *others = _ignore_in_first(np.stack(labels))
        labels = [first, *(layer for layer, area in zip(others, areas[1:], strict=True) if area[kept].any())]
    return labels, [int(segments[i]["class_index"]) for i in kept]


def pad_labels(
    contents: Sequence[Sequence[UInt8[np.ndarray, "h w"]]],
    size_px: int,
    zeros: Callable[[tuple[int, ...]], np.ndarray] = fresh_zeros,
) -> UInt8[np.ndarray, "B L S S"]:
    """Lay the layers of each image top left on canvases of one number of layers; the rest is ignored."""
    num_layers = max((len(layers) for layers in contents), default=1)
    label_maps = zeros((len(contents), num_layers, size_px, size_px))
    for canvas, layers in zip(label_maps, contents, strict=True):
        height, width = layers[0].shape
        canvas[0, height:] = IGNORED
        canvas[0, :height, width:] = IGNORED
        canvas[: len(layers), :height, :width] = layers
    return label_maps


def _count(layer: UInt[np.ndarray, "h w"], num_labels: int) -> Int64[np.ndarray, "num_labels"]:
    """Count the pixels of each label."""
    return cv2.calcHist([layer], [0], None, [num_labels], [0, num_labels]).ravel().astype(np.int64)


def _look_up(layer: UInt[np.ndarray, "h w"], table: UInt8[np.ndarray, "num_labels"]) -> UInt8[np.ndarray, "h w"]:
    return cv2.LUT(layer, table) if layer.dtype == np.uint8 else table[layer]


def _ignore_in_first(labels: UInt8[np.ndarray, "L h w"]) -> UInt8[np.ndarray, "L h w"]:
    """Say in the first layer alone which pixels to ignore: those ignored in any layer that no segment lies on."""
    is_ignored = labels == IGNORED
    labels = np.where(is_ignored, np.uint8(0), labels)
    labels[0][is_ignored.any(axis=0) & ~labels.any(axis=0)] = IGNORED
    return labels
