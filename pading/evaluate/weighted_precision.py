"""Average precision and recall of instances where each image counts a number of times, for many weightings at once.

Axes: P detections, N images, K classes, R sets of weights.
"""

import numpy as np
from jaxtyping import Float64, Int64

from pading.evaluate.instance import RECALL_LEVELS, InstanceTally


def weighted_precision(
    detections: InstanceTally,
    image_ids: Int64[np.ndarray, "N"],
    weights: Float64[np.ndarray, "R N"],
    num_true: Float64[np.ndarray, "R K"],
) -> tuple[Float64[np.ndarray, "R K"], Float64[np.ndarray, "R K"]]:
    """Return what `InstanceTally.quality` would, were image n there weights[:, n] times: precision, then recall.

    The precision curve is read at COCO's 101 recall levels. A level is reached at a match, so each match counts its
    envelope once for every level that it is the first to reach.

    Args:
        detections: of all images.
        image_ids: ascending; the images that the columns of `weights` belong to.
        weights: not negative.
        num_true: true instances of each class under each set of weights; a class without any is NaN.
    """
    precision, recall = (np.where(num_true > 0, 0.0, np.nan) for _ in range(2))
    rank = np.lexsort((detections.image_ids, -detections.scores, detections.classes))
    rank = rank[~detections.is_ignored[rank]]
    columns = np.searchsorted(image_ids, detections.image_ids[rank])
    starts = np.searchsorted(detections.classes[rank], np.arange(num_true.shape[1] + 1))
    for class_index in np.flatnonzero(np.diff(starts)):
        chosen = slice(starts[class_index], starts[class_index + 1])
        is_true = num_true[:, class_index] > 0
        counted = weights[is_true][:, columns[chosen]]  # (R', P of the class)
        found = np.cumsum(counted * detections.is_matched[rank[chosen]], axis=1)
        recall_curve = found / num_true[is_true, class_index][:, None]
        curve = found / (np.cumsum(counted, axis=1) + np.spacing(1))
        envelope = np.maximum.accumulate(curve[:, ::-1], axis=1)[:, ::-1]
        reached = np.searchsorted(RECALL_LEVELS, recall_curve.ravel(), side="right").reshape(recall_curve.shape)
        reached[:, 0] = np.maximum(reached[:, 0], 1)  # recall 0 is reached before the first match
        first = np.diff(reached, axis=1, prepend=0)
        precision[is_true, class_index] = (envelope * first).sum(axis=1) / len(RECALL_LEVELS)
        recall[is_true, class_index] = recall_curve[:, -1]
    return precision, recall
