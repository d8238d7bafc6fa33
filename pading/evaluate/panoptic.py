"""Panoptic quality: count one image, add tallies, read the quality. Axes: S predicted segments, M true ones, K classes.

The rules are those of COCO's panopticapi, proved against a literal reading of them in tests/references.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

from pading.data.sample import Segment
from pading.evaluate.pairs import count_pairs

HIGH_UNIT = 2.0**26  # IoUs are split at this binary place


@dataclass(frozen=True, kw_only=True, eq=False)
class PanopticQuality:
    """Per class, as fractions; NaN for a class that is neither in the truth nor predicted."""

    pq: Float64[np.ndarray, "*P K"]
    sq: Float64[np.ndarray, "*P K"]
    rq: Float64[np.ndarray, "*P K"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PanopticTally:
    """Per class: the summed IoU of the matches, and the numbers of matches, false and missed segments.

    An IoU above one half is a multiple of 2^-53. Its first 26 binary places and the rest are summed apart, both without
    rounding up to 2^26 matches, so that tallies add to the same bits in any order and grouping.
    """

    iou_parts: Float64[np.ndarray, "2 *P K"]  # P: as many penalties as were tallied together, if any
    true_positives: Int64[np.ndarray, "*P K"]
    false_positives: Int64[np.ndarray, "*P K"]
    false_negatives: Int64[np.ndarray, "*P K"]

    def __add__(self, other: "PanopticTally") -> "PanopticTally":
        return PanopticTally(
            iou_parts=self.iou_parts + other.iou_parts,
            true_positives=self.true_positives + other.true_positives,
            false_positives=self.false_positives + other.false_positives,
            false_negatives=self.false_negatives + other.false_negatives,
        )

    @property
    def iou_sum(self) -> Float64[np.ndarray, "*P K"]:
        """The summed IoU of the matches, rounded once."""
        total: np.ndarray = self.iou_parts[0] + self.iou_parts[1]
        return total

    @property
    def weight(self) -> Float64[np.ndarray, "*P K"]:
        """TP + FP/2 + FN/2, which PQ and RQ are divided by."""
        return self.true_positives + 0.5 * self.false_positives + 0.5 * self.false_negatives

    def quality(self) -> PanopticQuality:
        """Return SQ = iou_sum / TP, RQ = TP / weight and PQ = iou_sum / weight of each class."""
        weight = self.weight
        is_present = weight > 0
        divisor = np.where(is_present, weight, np.nan)
        sq = self.iou_sum / np.maximum(self.true_positives, 1)
        return PanopticQuality(
            pq=self.iou_sum / divisor, sq=np.where(is_present, sq, np.nan), rq=self.true_positives / divisor
        )


def count_image(
    predicted_map: Int[np.ndarray, "H W"],
    predicted_classes: Int64[np.ndarray, "S"],
    label_map: Int[np.ndarray, "H W"],
    segments: Sequence[Segment],
    num_classes: int,
) -> PanopticTally:
    """Count one image; in both maps 0 is void and i + 1 is the i-th segment.

    A prediction matches a true segment of its class when IoU > 0.5, its void pixels left out of the union; crowds
    never match. A true segment without match is missed unless it is a crowd. A prediction without match is false,
    unless more than half of it is void or crowd of its class; of several crowds of one class only the last one
    excuses, as in panopticapi.

    Raises:
        ValueError: if the maps differ in size, hold labels that no segment has, or a predicted segment has no pixel.
    """
    counts = count_pairs(predicted_map, label_map, len(predicted_classes) + 1, len(segments) + 1)
    return count_table(counts, predicted_classes, segments, num_classes)


def count_table(
    counts: Int64[np.ndarray, "S1 M1"],
    predicted_classes: Int64[np.ndarray, "S"],
    segments: Sequence[Segment],
    num_classes: int,
) -> PanopticTally:
    """Count one image as `count_image` does, from how many pixels each pair of labels has, void first.

    Raises:
        ValueError: if a predicted segment has no pixel.
    """
    area = counts[1:].sum(axis=1)
    if len(area) and area.min() == 0:
        raise ValueError(f"predicted segments {np.flatnonzero(area == 0) + 1} have no pixel; leave them out")
    tally = count_tables(counts[None, 1:], predicted_classes[None], counts.sum(axis=0), segments, num_classes)
    return PanopticTally(
        iou_parts=tally.iou_parts[:, 0],
        true_positives=tally.true_positives[0],
        false_positives=tally.false_positives[0],
        false_negatives=tally.false_negatives[0],
    )


def count_tables(
    counts: Int64[np.ndarray, "B S M1"],
    predicted_classes: Int64[np.ndarray, "B S"],
    area: Int64[np.ndarray, "M1"],
    segments: Sequence[Segment],
    num_classes: int,
) -> PanopticTally:
    """Count many maps of one image as `count_image` does, from the pixels that each segment has of each true label.

    Void comes first among the labels, `area` is theirs; a place without segment has class -1 and no pixel.
    """
    true_classes = np.array([segment.class_index for segment in segments], dtype=np.int64)
    is_crowd = np.array([segment.is_crowd for segment in segments], dtype=bool)
    predicted_area = counts.sum(axis=2)
    void, overlap = counts[..., 0], counts[..., 1:]  # (B, S), (B, S, M)
    may_match = (predicted_classes[..., None] == true_classes) & ~is_crowd
    table, predicted, true = np.nonzero(may_match & (overlap > 0))
    shared = overlap[table, predicted, true]
    union = predicted_area[table, predicted] + area[1:][true] - shared - void[table, predicted]
    # Integer form of shared / union > 0.5; at most one match per row and per column.
    is_match = 2 * shared > union
    table, predicted, true = table[is_match], predicted[is_match], true[is_match]
    ious = shared[is_match] / union[is_match]

    is_missed = np.tile(~is_crowd, (len(counts), 1))
    is_missed[table, true] = False
    excused = void
    if is_crowd.any():
        crowd_column = np.zeros(num_classes + 1, dtype=np.int64)  # class -1 reads the last
        crowd_column[true_classes[is_crowd]] = np.flatnonzero(is_crowd) + 1  # a later crowd overwrites an earlier one
        columns = crowd_column[predicted_classes]
        crowd = np.take_along_axis(counts, columns[..., None], axis=2)[..., 0]
        excused = void + np.where(columns > 0, crowd, 0)
    is_false = (predicted_classes >= 0) & (2 * excused <= predicted_area)
    is_false[table, predicted] = False
    high = np.floor(ious * HIGH_UNIT) / HIGH_UNIT
    false_table, false_place = np.nonzero(is_false)
    missed_table, missed = np.nonzero(is_missed)
    shape = (len(counts), num_classes)

    def by_class(tables: np.ndarray, its_classes: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        code = tables * num_classes + its_classes
        return np.bincount(code, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)

    matched = true_classes[true]
    return PanopticTally(
        iou_parts=np.stack([by_class(table, matched, part).astype(np.float64) for part in (high, ious - high)]),
        true_positives=by_class(table, matched),
        false_positives=by_class(false_table, predicted_classes[false_table, false_place]),
        false_negatives=by_class(missed_table, true_classes[missed]),
    )
