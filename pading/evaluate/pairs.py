"""Counting pixels by pair of labels: the one pass over the pixels that panoptic and semantic tallies need."""

import numpy as np
from jaxtyping import Int, Int64


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
    if not first.size:
        return np.zeros((num_first, num_second), dtype=np.int64)
    first, second = first.ravel(), second.ravel()
    is_end = np.empty(first.size, dtype=bool)
    is_end[-1] = True
    np.not_equal(first[1:], first[:-1], out=is_end[:-1])
    is_end[:-1] |= second[1:] != second[:-1]
    ends = np.flatnonzero(is_end)
    lengths = np.empty(len(ends))
    lengths[0] = ends[0] + 1
    np.subtract(ends[1:], ends[:-1], out=lengths[1:])
    of_first, of_second = _of_runs(first[ends], num_first), _of_runs(second[ends], num_second)
    code = of_first * num_second + of_second
    counts = np.bincount(code, weights=lengths, minlength=num_first * num_second)  # exact: far below 2**53
    return counts.astype(np.int64).reshape(num_first, num_second)


def _of_runs(labels: Int[np.ndarray, "R"], num_labels: int) -> Int64[np.ndarray, "R"]:
    """Return the labels of all runs, checked; every label that is in a map is in one of its runs."""
    unsigned = labels.view(f"u{labels.itemsize}")  # negative labels are the largest: one bound is asked, not two
    if unsigned.max() >= num_labels:
        raise ValueError(f"labels {labels.min()}..{labels.max()} leave 0..{num_labels - 1}")
    return labels.astype(np.int64)
