"""Pixels on which every mask nearly agrees, as groups with bounds: most of an image is decided group by group.

What a row makes of a pixel is a function of the masks' probabilities there. Where the bounds of a group already decide
that function, its pixels need no look; the others are asked one by one, so that nothing is approximate. The groups know
no classifier: they are found once and serve every row.
Axes: Q queries, G groups, P pixels of the photo, M true segments, I items: groups or pixels with one true label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Int64
from torch import Tensor

LEVELS = (0.05, 0.5, 0.95)  # masks agree on pixels where their probabilities lie between the same two
SMALLEST_GROUP = 4  # bounds of fewer pixels cost as much as the pixels themselves
KEY_SEED, LARGEST_SUM = 0, 2**24  # sums of keys are exact in single precision


@dataclass(frozen=True, kw_only=True, eq=False)
class PixelGroups:
    """Groups of pixels, the bounds of all masks in each, and the masks with their pixels in the order of groups."""

    low: Float32[Tensor, "Q G"]
    high: Float32[Tensor, "Q G"]
    masks: Float32[Tensor, "Q P"]
    order: Int64[np.ndarray, "P"]  # places in the photo
    group: Int64[np.ndarray, "P"]  # of the pixels in this order; -1: in none

    def loose(self, is_open: Bool[np.ndarray, "G"]) -> Int64[np.ndarray, "N"]:
        """Return the columns of `masks` that are in an open group or in none: those to be looked at."""
        return np.flatnonzero(np.append(is_open, True)[self.group])


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupedTruth:
    """The true label of every pixel in the order of groups, 0 for void, and how often a group has which."""

    label: Int64[np.ndarray, "P"]
    entry_group: Int64[np.ndarray, "N"]  # each pair of a group and a label that occurs
    entry_label: Int64[np.ndarray, "N"]
    entry_size: Int64[np.ndarray, "N"]
    classes: Int64[np.ndarray, "M1"]  # of each label; void has none, written -1
    area: Int64[np.ndarray, "M1"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Items:
    """What is counted: the decided groups by true label, then the pixels that were looked at."""

    groups: Int64[np.ndarray, "N"]
    label: Int64[np.ndarray, "I"]
    size: Int64[np.ndarray, "I"]


def group_pixels(probabilities: Float32[Tensor, "Q H W"]) -> PixelGroups:
    """Return the groups of an image's pixels.

    Pixels are sorted by a number that stands for the levels of all masks. Should two sets of levels share a number,
    their group has wider bounds, and these are as true.
    """
    masks = probabilities.flatten(1)
    num_queries, num_pixels = masks.shape
    level = torch.zeros_like(masks)
    for threshold in LEVELS:
        level += masks >= threshold
    largest = LARGEST_SUM // (len(LEVELS) * max(num_queries, 1))
    factors = np.random.default_rng(KEY_SEED).integers(1, max(largest, 2), (2, num_queries)).astype(np.float32)
    high, low = (torch.from_numpy(factors) @ level).numpy().astype(np.int64)
    key = high * LARGEST_SUM + low
    order = np.argsort(key)
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    sizes = np.diff(starts, append=num_pixels)
    is_group = sizes >= SMALLEST_GROUP
    number = np.where(is_group, np.cumsum(is_group) - 1, -1)
    ordered = masks[:, torch.from_numpy(order)]
    ends = np.minimum(starts + sizes, num_pixels)
    bounds = [
        _reduced(reduce, ordered.numpy(), starts[is_group], ends[is_group]) for reduce in (np.minimum, np.maximum)
    ]
    return PixelGroups(
        low=torch.from_numpy(bounds[0]),
        high=torch.from_numpy(bounds[1]),
        masks=ordered,
        order=order,
        group=np.repeat(number, sizes),
    )


def grouped_truth(
    groups: PixelGroups, label_map: Int[np.ndarray, "H W"], segment_classes: Sequence[int]
) -> GroupedTruth:
    """Return the truth in the order of groups; label i + 1 is of segment_classes[i]."""
    label = label_map.ravel()[groups.order].astype(np.int64)
    num_labels, is_member = len(segment_classes) + 1, groups.group >= 0
    pairs = np.bincount(groups.group[is_member] * num_labels + label[is_member])
    present = np.flatnonzero(pairs)
    return GroupedTruth(
        label=label,
        entry_group=present // num_labels,
        entry_label=present % num_labels,
        entry_size=pairs[present],
        classes=np.array([-1, *segment_classes], dtype=np.int64),
        area=np.bincount(label, minlength=num_labels),
    )


def items(truth: GroupedTruth, is_open: Bool[np.ndarray, "G"], loose: Int64[np.ndarray, "N"]) -> Items:
    """Return what is to be counted where some groups are open: the others by label, and all loose pixels."""
    is_decided = ~is_open[truth.entry_group]
    return Items(
        groups=truth.entry_group[is_decided],
        label=np.concatenate([truth.entry_label[is_decided], truth.label[loose]]),
        size=np.concatenate([truth.entry_size[is_decided], np.ones(len(loose), dtype=np.int64)]),
    )


def _reduced(
    function: np.ufunc,
    values: Float32[np.ndarray, "Q P"],
    starts: Int64[np.ndarray, "G"],
    ends: Int64[np.ndarray, "G"],
) -> Float32[np.ndarray, "Q G"]:
    """Return the least or the largest value of each row between starts and ends, which do not overlap."""
    if len(starts) == 0:
        return np.zeros((len(values), 0), dtype=np.float32)
    edges = np.stack([starts, ends], axis=1).ravel()
    if edges[-1] == values.shape[1]:
        edges = edges[:-1]
    return np.ascontiguousarray(function.reduceat(values, edges, axis=1)[:, ::2])
