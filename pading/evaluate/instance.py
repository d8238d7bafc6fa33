"""Instance quality as COCOeval counts it at one IoU threshold: match one image, add tallies, accumulate AP and recall.

Axes: N detections, Q queries, M true segments, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pading.evaluate.inference import Instances
from pading.evaluate.overlap import Overlap

RECALL_LEVELS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100  # per class and image


@dataclass(frozen=True, kw_only=True, eq=False)
class InstanceQuality:
    """Per class, as fractions; NaN for a class without true instances."""

    average_precision: Float64[np.ndarray, "K"]
    recall: Float64[np.ndarray, "K"]


@dataclass(frozen=True, kw_only=True, eq=False)
class InstanceTally:
    """What became of every detection, and how many true instances each class has (crowds not counted)."""

    image_ids: Int64[np.ndarray, "N"]
    classes: Int64[np.ndarray, "N"]
    scores: Float64[np.ndarray, "N"]
    is_matched: Bool[np.ndarray, "N"]  # to a true instance that is not a crowd
    is_ignored: Bool[np.ndarray, "N"]  # lies in a crowd of its class: neither right nor wrong
    num_true: Int64[np.ndarray, "K"]

    def __add__(self, other: "InstanceTally") -> "InstanceTally":
        return InstanceTally.total([self, other])

    @staticmethod
    def total(tallies: "Sequence[InstanceTally]") -> "InstanceTally":
        """Return the sum of one or more tallies, copying each detection once."""
        return InstanceTally(
            image_ids=np.concatenate([tally.image_ids for tally in tallies]),
            classes=np.concatenate([tally.classes for tally in tallies]),
            scores=np.concatenate([tally.scores for tally in tallies]),
            is_matched=np.concatenate([tally.is_matched for tally in tallies]),
            is_ignored=np.concatenate([tally.is_ignored for tally in tallies]),
            num_true=np.sum([tally.num_true for tally in tallies], axis=0),
        )

    def quality(self) -> InstanceQuality:
        """Return COCO's 101-point average precision and the final recall of each class.

        Detections are ranked by score over all images; equal scores by image id, then in their order within the
        image, so that the order in which tallies were added does not matter.
        """
        num_classes = len(self.num_true)
        average_precision = np.where(self.num_true > 0, 0.0, np.nan)
        recall = average_precision.copy()
        rank = np.lexsort((self.image_ids, -self.scores, self.classes))
        rank = rank[~self.is_ignored[rank]]
        starts = np.searchsorted(self.classes[rank], np.arange(num_classes + 1))
        for class_index in np.flatnonzero(self.num_true):
            is_matched = self.is_matched[rank[starts[class_index] : starts[class_index + 1]]]
            if len(is_matched) == 0:
                continue
            found = np.cumsum(is_matched)
            recall_curve = found / self.num_true[class_index]
            precision = found / (np.arange(1, len(found) + 1) + np.spacing(1))
            envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
            levels = np.searchsorted(recall_curve, RECALL_LEVELS, side="left")
            average_precision[class_index] = envelope[levels].mean()
            recall[class_index] = recall_curve[-1]
        return InstanceQuality(average_precision=average_precision, recall=recall)


def count_image(
    image_id: int,
    detections: Instances,
    overlap: Overlap,
    is_thing: Sequence[bool],
    iou_threshold: float = 0.5,
) -> InstanceTally:
    """Match one image's detections to its true instances, class by class, best score first.

    A detection takes the free true instance of its class with the largest IoU at or above the threshold (the last one
    among equals); failing that, one that lies in a crowd of its class to that degree is ignored. At most 100
    detections per class.
    """
    order = np.argsort(-detections.scores, kind="stable")
    order = order[_rank_within(detections.classes[order]) < MAX_DETECTIONS]
    classes, queries = detections.classes[order], detections.queries[order]
    is_instance = np.asarray(is_thing)[overlap.classes]
    is_close = overlap.iou[queries] >= min(iou_threshold, 1 - 1e-10)  # (N, M)
    is_close &= (classes[:, None] == overlap.classes) & is_instance

    is_matched = np.zeros(len(order), dtype=bool)
    is_free = ~overlap.is_crowd
    # Greedy, hence in order; only the few detections that reach some instance of their class enter the loop.
    for detection in np.flatnonzero(is_close[:, ~overlap.is_crowd].any(axis=1)):
        candidates = np.flatnonzero(is_close[detection] & is_free)
        if len(candidates):
            ious = overlap.iou[queries[detection], candidates]
            is_free[candidates[len(ious) - 1 - np.argmax(ious[::-1])]] = False
            is_matched[detection] = True
    return InstanceTally(
        image_ids=np.full(len(order), image_id, dtype=np.int64),
        classes=classes,
        scores=detections.scores[order].astype(np.float64),
        is_matched=is_matched,
        is_ignored=is_close[:, overlap.is_crowd].any(axis=1) & ~is_matched,
        num_true=np.bincount(overlap.classes[is_instance & ~overlap.is_crowd], minlength=len(is_thing)),
    )


def _rank_within(groups: Int64[np.ndarray, "N"]) -> Int64[np.ndarray, "N"]:
    """Return for each element how many equal elements come before it."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], groups[order], side="left")
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = np.arange(len(groups)) - starts
    return rank
