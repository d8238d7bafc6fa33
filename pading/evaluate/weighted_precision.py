"""Average precision and recall of instances where each image counts a number of times, for many weightings at once.

Axes: P detections of a class, T matches among them, N images, K classes, R sets of weights.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from pading.evaluate.instance import RECALL_LEVELS, InstanceTally

VALUES_PER_CHUNK = 2**22  # of a chunk of weight sets x detections


def weighted_precision(
    detections: InstanceTally,
    image_ids: Int64[np.ndarray, "N"],
    weights: Float64[np.ndarray, "R N"],
    num_true: Float64[np.ndarray, "R K"],
    judgement: int = 0,
) -> tuple[Float64[np.ndarray, "R K"], Float64[np.ndarray, "R K"]]:
    """Return what `InstanceTally.quality` would, were image n there weights[:, n] times: precision, then recall.

    Detections of equal score are taken image by image, and of one image, one after the other with all its copies.

    Args:
        detections: of all images.
        image_ids: ascending; the images that the columns of `weights` belong to.
        weights: not negative.
        num_true: true instances of each class under each set of weights; a class without any is NaN.
        judgement: which of the detections' judgements counts.
    """
    precision, recall = (np.where(num_true > 0, 0.0, np.nan) for _ in range(2))
    rank = np.lexsort((detections.image_ids, -detections.scores, detections.classes))
    rank = rank[~detections.is_ignored[rank, judgement]]
    columns = np.searchsorted(image_ids, detections.image_ids[rank])
    starts = np.searchsorted(detections.classes[rank], np.arange(num_true.shape[1] + 1))
    for class_index in np.flatnonzero(np.diff(starts)):
        chosen = slice(starts[class_index], starts[class_index + 1])
        is_matched = detections.is_matched[rank[chosen], judgement]
        has_true = np.flatnonzero(num_true[:, class_index])
        if not is_matched.any():
            continue
        for rows in np.array_split(has_true, 1 + len(has_true) * len(is_matched) // VALUES_PER_CHUNK):
            counted = weights[rows[:, None], columns[None, chosen]]
            precision[rows, class_index], recall[rows, class_index] = _of_class(
                counted, is_matched, num_true[rows, class_index]
            )
    return precision, recall


def _of_class(
    counted: Float64[np.ndarray, "R P"], is_matched: Bool[np.ndarray, "P"], num_true: Float64[np.ndarray, "R"]
) -> tuple[Float64[np.ndarray, "R"], Float64[np.ndarray, "R"]]:
    """Return precision at COCO's 101 recall levels, averaged, and the final recall, of detections in order of score.

    Between matches precision only falls and recall stands still, so the curve is asked at the matches alone: each
    counts once for every level that it is the first to reach.
    """
    matches = np.flatnonzero(is_matched)
    found = np.cumsum(counted[:, matches], axis=1)  # (R, T)
    since_last = np.add.reduceat(counted[:, : matches[-1] + 1], np.append(0, matches[:-1] + 1), axis=1)
    curve = found / (np.cumsum(since_last, axis=1) + np.spacing(1))
    envelope = np.maximum.accumulate(curve[:, ::-1], axis=1)[:, ::-1]
    recall = found / num_true[:, None]
    reached = np.searchsorted(RECALL_LEVELS, recall.ravel(), side="right").reshape(recall.shape)
    reached[:, 0] = np.maximum(reached[:, 0], 1)  # recall 0 is reached at once
    levels = np.diff(reached, axis=1, prepend=0)
    return (envelope * levels).sum(axis=1) / len(RECALL_LEVELS), recall[:, -1]
