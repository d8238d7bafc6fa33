"""Instance quality as COCOeval counts it: match one image, add tallies, accumulate AP and recall.

Axes: N detections, Q queries, M true segments, K classes, J judgements: each way of overlapping (by masks, by boxes)
at each IoU threshold, the ways one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pading.evaluate.inference import Instances
from pading.evaluate.overlap import Overlap

RECALL_LEVELS = np.linspace(0.0, 1.0, 101)
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
MAX_DETECTIONS = 100  # per class and image
# Name -> what is read of which judgements, of masks and then boxes at IOU_THRESHOLDS, and averaged.
INSTANCE_QUALITIES: dict[str, tuple[Literal["average_precision", "recall"], tuple[int, ...]]] = {
    "ap50": ("average_precision", (0,)),
    "recall100": ("recall", (0,)),
    "ap": ("average_precision", tuple(range(10))),
    "box_ap50": ("average_precision", (10,)),
    "box_ap": ("average_precision", tuple(range(10, 20))),
}


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
    is_matched: Bool[np.ndarray, "N J"]  # to a true instance that is not a crowd
    is_ignored: Bool[np.ndarray, "N J"]  # lies in a crowd of its class: neither right nor wrong
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

    def quality(self, judgement: int = 0) -> InstanceQuality:
        """Return COCO's 101-point average precision and the final recall of each class, by one of the judgements.

        Detections are ranked by score over all images; equal scores by image id, then in their order within the
        image, so that the order in which tallies were added does not matter.
        """
        num_classes = len(self.num_true)
        average_precision = np.where(self.num_true > 0, 0.0, np.nan)
        recall = average_precision.copy()
        rank = np.lexsort((self.image_ids, -self.scores, self.classes))
        rank = rank[~self.is_ignored[rank, judgement]]
        starts = np.searchsorted(self.classes[rank], np.arange(num_classes + 1))
        for class_index in np.flatnonzero(self.num_true):
            is_matched = self.is_matched[rank[starts[class_index] : starts[class_index + 1]], judgement]
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

    def named_quality(self, name: str) -> Float64[np.ndarray, "K"]:
        """Return one of `INSTANCE_QUALITIES` of each class; the tally must be of masks and boxes."""
        what, judgements = INSTANCE_QUALITIES[name]
        values = [getattr(self.quality(judgement), what) for judgement in judgements]
        mean: np.ndarray = np.mean(values, axis=0)
        return mean


def count_image(
    image_id: int,
    detections: Instances,
    overlaps: Sequence[Overlap],
    is_thing: Sequence[bool],
    iou_thresholds: Sequence[float] = (0.5,),
) -> InstanceTally:
    """Match one image's detections to its true instances, class by class, best score first.

    A detection takes the free true instance of its class with the largest IoU at or above the threshold (the last one
    among equals); failing that, one that lies in a crowd of its class to that degree is ignored. At most 100
    detections per class. `overlaps` are of the same queries and segments, each measured in its way.
    """
    rows = Instances(queries=detections.queries[None], classes=detections.classes[None], scores=detections.scores[None])
    (tally,) = count_rows(image_id, rows, overlaps, is_thing, iou_thresholds)
    return tally


def count_rows(
    image_id: int,
    detections: Instances,
    overlaps: Sequence[Overlap],
    is_thing: Sequence[bool],
    iou_thresholds: Sequence[float] = (0.5,),
) -> list[InstanceTally]:
    """Match the detections of each of several rows on one image, as `count_image` does."""
    truth = overlaps[0]
    is_instance = np.asarray(is_thing, dtype=bool)[truth.classes]
    thresholds = np.tile(np.minimum(iou_thresholds, 1 - 1e-10), len(overlaps))  # (J,)
    iou = np.repeat(np.stack([overlap.iou for overlap in overlaps], axis=1), len(iou_thresholds), axis=1)  # (Q, J, M)
    is_close = (iou >= thresholds[:, None]) & is_instance
    reaches = np.zeros((len(iou), len(is_thing)), dtype=bool)  # (Q, K): some truth of the class is close
    queries, segments = np.nonzero(is_close.any(axis=1))
    reaches[queries, truth.classes[segments]] = True

    order = np.argsort(-detections.scores, axis=1, kind="stable")
    classes, queries, scores = (
        np.take_along_axis(values, order, axis=1)
        for values in (detections.classes, detections.queries, detections.scores)
    )
    group = np.arange(len(order))[:, None] * len(is_thing) + classes  # of one row and class
    is_kept = (_rank_within(group.ravel()) < MAX_DETECTIONS).reshape(order.shape)
    is_matched = np.zeros((*order.shape, len(thresholds)), dtype=bool)
    is_ignored = np.zeros_like(is_matched)
    is_free = np.broadcast_to(~truth.is_crowd, (len(order), *is_close.shape[1:])).copy()  # (R, J, M)
    # Greedy, hence in order; only the few detections that reach some instance of their class are looked at, and those
    # of different rows and classes, which cannot be in each other's way, together.
    rows, places = np.nonzero(is_kept & reaches[queries, classes])
    turn = _rank_within(group[rows, places])
    for now in range(turn.max(initial=-1) + 1):
        row, place = rows[turn == now], places[turn == now]
        query = queries[row, place]
        may_match = is_close[query] & (classes[row, place][:, None] == truth.classes)[:, None]  # (D, J, M)
        is_candidate = may_match & is_free[row]
        taken = is_candidate.shape[2] - 1 - np.argmax(np.where(is_candidate, iou[query], -1.0)[..., ::-1], axis=2)
        which, judgement = np.nonzero(is_candidate.any(axis=2))
        is_free[row[which], judgement, taken[which, judgement]] = False
        is_matched[row[which], place[which], judgement] = True
        is_ignored[row, place] = (may_match & truth.is_crowd).any(axis=2) & ~is_matched[row, place]
    num_true = np.bincount(truth.classes[is_instance & ~truth.is_crowd], minlength=len(is_thing))
    image_ids = np.full(order.shape[1], image_id, dtype=np.int64)
    scores = scores.astype(np.float64)
    return [
        InstanceTally(
            image_ids=image_ids[kept],
            classes=classes[row][kept],
            scores=scores[row][kept],
            is_matched=is_matched[row][kept],
            is_ignored=is_ignored[row][kept],
            num_true=num_true,
        )
        for row, kept in enumerate(is_kept)
    ]


def _rank_within(groups: Int64[np.ndarray, "N"]) -> Int64[np.ndarray, "N"]:
    """Return for each element how many equal elements come before it."""
    order = np.argsort(groups, kind="stable")
    starts = np.searchsorted(groups[order], groups[order], side="left")
    rank = np.empty(len(groups), dtype=np.int64)
    rank[order] = np.arange(len(groups)) - starts
    return rank
