"""Masks that may overlap to label maps: each mask whole in one layer, no two masks of a layer in the same pixel.

Axes: L layers, H W pixels, N masks, R runs of one mask.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64, UInt16

MAX_LABEL = 2**16 - 1


def paint_layers(
    masks: Sequence[Int64[np.ndarray, "_"]], height: int, width: int, max_pixels: int
) -> tuple[UInt16[np.ndarray, "L H W"], Int64[np.ndarray, "N"]]:
    """Return label maps and the area of each mask, given as run lengths down the columns, the first of zeros.

    A mask goes into the first layer where all its pixels are free. Its label counts the masks before it that have a
    pixel, and itself; a mask without a pixel has no label. There is always one layer.

    Raises:
        ValueError: if there are more than 65,535 masks, or layers of more than `max_pixels` pixels together.
    """
    areas = np.array([counts[1::2].sum() for counts in masks], dtype=np.int64)
    if (num_labels := np.count_nonzero(areas)) > MAX_LABEL:
        raise ValueError(f"{num_labels} masks, more than {MAX_LABEL}")
    layers = [np.zeros((width, height), dtype=np.uint16)]  # columns first, as the runs lie
    for label, position in enumerate(np.flatnonzero(areas).tolist(), start=1):
        first, mask = _columns(masks[position], height)
        boxes = (layer[first : first + len(mask)] for layer in layers)
        box = next((box for box in boxes if not box[mask].any()), None)
        if box is None:
            if (len(layers) + 1) * height * width > max_pixels:
                raise ValueError(f"more than {len(layers)} masks of {height} x {width} pixels overlap")
            layers.append(np.zeros((width, height), dtype=np.uint16))
            box = layers[-1][first : first + len(mask)]
        box[mask] = label
    label_maps = np.empty((len(layers), height, width), dtype=np.uint16)
    for rows, columns in zip(label_maps, layers, strict=True):
        rows[:] = columns.T
    return label_maps, areas


def _columns(counts: Int64[np.ndarray, "R"], height: int) -> tuple[int, Bool[np.ndarray, "columns H"]]:
    """Return the first column that the mask touches, and the mask from there to the last."""
    ends = np.cumsum(counts)
    filled = 2 * np.flatnonzero(counts[1::2]) + 1
    first, last = int(ends[filled[0] - 1]) // height, (int(ends[filled[-1]]) - 1) // height
    edges = np.clip(ends, first * height, (last + 1) * height)
    inside = np.arange(len(counts)) % 2 == 1
    return first, np.repeat(inside, np.diff(edges, prepend=first * height)).reshape(-1, height)
