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
    num_predicted = len(predicted_classes)
    predicted_area, true_area = counts[1:].sum(axis=1), counts[:, 1:].sum(axis=0)
    if num_predicted and predicted_area.min() == 0:
        raise ValueError(f"predicted segments {np.flatnonzero(predicted_area == 0) + 1} have no pixel; leave them out")

    true_classes = np.array([segment.class_index for segment in segments], dtype=np.int64)
    is_crowd = np.array([segment.is_crowd for segment in segments], dtype=bool)
    void, overlap = counts[1:, 0], counts[1:, 1:]  # (S,), (S, M)
    union = predicted_area[:, None] + true_area - overlap - void[:, None]
    may_match = (predicted_classes[:, None] == true_classes) & ~is_crowd
    # Integer form of overlap / union > 0.5; at most one match per row and per column.
    predicted_matched, true_matched = np.nonzero(may_match & (2 * overlap > union))
    matched_classes = predicted_classes[predicted_matched]
    ious = overlap[predicted_matched, true_matched] / union[predicted_matched, true_matched]

    is_missed = ~is_crowd
    is_missed[true_matched] = False
    crowd_column = np.zeros(num_classes, dtype=np.int64)
    crowd_column[true_classes[is_crowd]] = np.flatnonzero(is_crowd) + 1  # a later crowd overwrites an earlier one
    crowd_columns = crowd_column[predicted_classes]
    crowd = np.where(crowd_columns > 0, counts[np.arange(1, num_predicted + 1), crowd_columns], 0)
    is_false = 2 * (void + crowd) <= predicted_area
    is_false[predicted_matched] = False
    high = np.floor(ious * HIGH_UNIT) / HIGH_UNIT
    parts = [np.bincount(matched_classes, weights=part, minlength=num_classes) for part in (high, ious - high)]
    return PanopticTally(
        iou_parts=np.stack(parts).astype(np.float64),
        true_positives=np.bincount(matched_classes, minlength=num_classes),
        false_positives=np.bincount(predicted_classes[is_false], minlength=num_classes),
        false_negatives=np.bincount(true_classes[is_missed], minlength=num_classes),
    )
