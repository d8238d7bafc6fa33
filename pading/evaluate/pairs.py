"""Counting pixels by pair of labels: the one pass over the pixels that panoptic and semantic tallies need."""

import numpy as np
from jaxtyping import Int, Int64

SIXTEEN_BITS = 2**16


def count_pairs(
    first: Int[np.ndarray, "H W"], second: Int[np.ndarray, "H W"], num_first: int, num_second: int
) -> Int64[np.ndarray, "num_first num_second"]:
    """Return how many pixels have each pair of labels.

    Label maps are piecewise constant, so that runs of equal pairs are counted instead of pixels: several times faster.

    Raises:
        ValueError: if the maps differ in size, or a label is outside 0..num_first - 1 or 0..num_second - 1.
    """
    if first.shape != second.shape:
        raise ValueError(f"maps differ in size: {first.shape} and {second.shape}")
    for labels, num_labels in ((first, num_first), (second, num_second)):
        unsigned = labels.view(f"u{labels.itemsize}")  # negative labels are the largest: one bound is asked, not two
        if labels.size and unsigned.max() >= num_labels:
            raise ValueError(f"labels {labels.min()}..{labels.max()} leave 0..{num_labels - 1}")
    depth = np.uint16 if num_first * num_second < SIXTEEN_BITS else np.uint32  # memory is what takes the time
    code: np.ndarray = first.astype(depth).ravel()
    code *= depth(num_second)
    code += second.astype(depth).ravel()
    ends = np.append(np.flatnonzero(code[1:] != code[:-1]), len(code) - 1)[: len(code)]
    lengths = np.diff(ends, prepend=-1)
    counts = np.bincount(code[ends], weights=lengths, minlength=num_first * num_second)  # exact: far below 2**53
    return counts.astype(np.int64).reshape(num_first, num_second)
