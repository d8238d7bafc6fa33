"""Average precision and recall of instances where each image counts a number of times, for many weightings at once.

Axes: P detections of a class, T matches among them, N images, K classes, R sets of weights.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import sparse

from pading.evaluate.instance import RECALL_LEVELS, InstanceTally

VALUES_PER_CHUNK = 2**20  # of a chunk of weight sets x matches


@dataclass(frozen=True, kw_only=True, eq=False)
class RankedDetections:
    """Detections by class, then score, and which of `image_ids` each is on; sorted once for all judgements."""

    columns: Int64[np.ndarray, "P"]
    classes: Int64[np.ndarray, "P"]
    is_matched: Bool[np.ndarray, "P J"]
    is_ignored: Bool[np.ndarray, "P J"]


def ranked(detections: InstanceTally, image_ids: Int64[np.ndarray, "N"]) -> RankedDetections:
    """Return the detections in the order in which they count: of equal scores, image by image."""
    rank = np.lexsort((detections.image_ids, -detections.scores, detections.classes))
    return RankedDetections(
        columns=np.searchsorted(image_ids, detections.image_ids[rank]),
        classes=detections.classes[rank],
        is_matched=detections.is_matched[rank],
        is_ignored=detections.is_ignored[rank],
    )


def weighted_precision(
    detections: RankedDetections,
    weights: Float64[np.ndarray, "R N"],
    num_true: Float64[np.ndarray, "R K"],
    judgement: int = 0,
) -> tuple[Float64[np.ndarray, "R K"], Float64[np.ndarray, "R K"]]:
    """Return what `InstanceTally.quality` would, were image n there weights[:, n] times: precision, then recall.

    Detections of equal score are taken image by image, and of one image, one after the other with all its copies.

    Args:
        detections: of all images, the columns of `weights`.
        weights: not negative.
        num_true: true instances of each class under each set of weights; a class without any is NaN.
        judgement: which of the detections' judgements counts.
    """
    precision, recall = (np.where(num_true > 0, 0.0, np.nan) for _ in range(2))
    kept = np.flatnonzero(~detections.is_ignored[:, judgement])
    columns, is_matched = detections.columns[kept], detections.is_matched[kept, judgement]
    starts = np.searchsorted(detections.classes[kept], np.arange(num_true.shape[1] + 1))
    by_image = np.ascontiguousarray(weights.T)  # (N, R): what a detection adds to all sets lies side by side
    for class_index in np.flatnonzero(np.diff(starts)):
        chosen = slice(starts[class_index], starts[class_index + 1])
        num_matches = np.count_nonzero(is_matched[chosen])
        has_true = np.flatnonzero(num_true[:, class_index])
        if num_matches == 0 or len(has_true) == 0:
            continue
        for rows in np.array_split(has_true, 1 + len(has_true) * num_matches // VALUES_PER_CHUNK):
            own = by_image if len(rows) == len(weights) else np.ascontiguousarray(by_image[:, rows])
            precision[rows, class_index], recall[rows, class_index] = _of_class(
                own, columns[chosen], is_matched[chosen], num_true[rows, class_index]
            )
    return precision, recall


def _of_class(
    weights: Float64[np.ndarray, "N R"],
    columns: Int64[np.ndarray, "P"],
    is_matched: Bool[np.ndarray, "P"],
    num_true: Float64[np.ndarray, "R"],
) -> tuple[Float64[np.ndarray, "R"], Float64[np.ndarray, "R"]]:
    """Return precision at COCO's 101 recall levels, averaged, and the final recall, of detections in order of score.

    Between matches precision only falls and recall stands still, so the curve is asked at the matches alone: each
    counts once for every level that it is the first to reach. What was detected since the last match is a sum of
    weights over images.
    """
    matches = np.flatnonzero(is_matched)
    num_detected = matches[-1] + 1
    interval = np.searchsorted(matches, np.arange(num_detected))
    detected = sparse.csr_array(
        (np.ones(num_detected), columns[:num_detected], np.searchsorted(interval, np.arange(len(matches) + 1))),
        shape=(len(matches), len(weights)),
    )
    found = np.cumsum(weights[columns[matches]], axis=0)  # (T, R)
    curve = found / (np.cumsum(detected @ weights, axis=0) + np.spacing(1))
    envelope = np.maximum.accumulate(curve[::-1], axis=0)[::-1]
    recall = found / num_true
    reached = _levels_reached(recall)
    reached[0] = np.maximum(reached[0], 1)  # recall 0 is reached at once
    levels = np.diff(reached, axis=0, prepend=0)
    return (envelope * levels).sum(axis=0) / len(RECALL_LEVELS), recall[-1]


def _levels_reached(recall: Float64[np.ndarray, "T R"]) -> Int64[np.ndarray, "T R"]:
    """Return how many of the evenly spaced levels are at most each recall, without a search among them."""
    last = len(RECALL_LEVELS) - 1
    near = np.minimum((recall * last).astype(np.int64), last)  # the level or, by rounding, a neighbour of it
    levels = np.append(RECALL_LEVELS, np.inf)
    reached: np.ndarray = near + (levels[near] <= recall) + (levels[near + 1] <= recall)
    return reached
