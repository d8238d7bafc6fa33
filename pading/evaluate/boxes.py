"""The boxes around masks and around true segments, and how they overlap, as COCO measures it.

Axes: Q queries, M true segments, N masks, L layers of overlapping segments, H W pixels.
"""

import numpy as np
from jaxtyping import Bool, Int, Int64

from pading.evaluate.overlap import Overlap


def mask_boxes(masks: Bool[np.ndarray, "N H W"]) -> Int64[np.ndarray, "N 4"]:
    """Return left, top, width and height of the smallest box around each mask; all zero for an empty one."""
    left, width = _span(np.logical_or.reduce(masks, axis=1))
    top, height = _span(np.logical_or.reduce(masks, axis=2))
    return np.stack([left, top, width, height], axis=1)


def segment_boxes(label_maps: Int[np.ndarray, "L H W"], num_segments: int) -> Int64[np.ndarray, "M 4"]:
    """Return the boxes of the segments of which label i + 1 is the i-th; a segment may lie in one layer only.

    A label map is piecewise constant: only its borders along the rows are looked at.
    """
    num_layers, height, width = label_maps.shape
    boxes = np.array([[width, height, 0, 0]]).repeat(num_segments + 1, axis=0)  # left, top, right, bottom
    flat = label_maps.reshape(num_layers * height, width)
    starts = np.ones(flat.shape, dtype=bool)
    np.not_equal(flat[:, 1:], flat[:, :-1], out=starts[:, 1:])
    rows, left = np.nonzero(starts)
    labels = flat[rows, left]
    right = np.append(left[1:], 0)
    right[right == 0] = width  # the next run starts another row
    np.minimum.at(boxes[:, 0], labels, left)
    np.minimum.at(boxes[:, 1], labels, rows % height)
    np.maximum.at(boxes[:, 2], labels, right)
    np.maximum.at(boxes[:, 3], labels, rows % height + 1)
    boxes[:, 2:] -= boxes[:, :2]
    boxes[boxes[:, 2] < 0] = 0
    return boxes[1:]


def box_overlap(queries: Int64[np.ndarray, "Q 4"], segments: Int64[np.ndarray, "M 4"], masks: Overlap) -> Overlap:
    """Return IoU of boxes, with crowds and classes of the overlap of masks; of a crowd, the share that lies in it."""
    ends = queries[:, None, :2] + queries[:, None, 2:], segments[:, :2] + segments[:, 2:]
    sides = np.minimum(*ends) - np.maximum(queries[:, None, :2], segments[:, :2])  # (Q, M, 2)
    intersection = np.maximum(sides, 0).prod(axis=2)
    own, true = queries[:, 2:].prod(axis=1)[:, None], segments[:, 2:].prod(axis=1)
    union = np.where(masks.is_crowd, own, own + true - intersection)
    return Overlap(iou=intersection / np.maximum(union, 1), classes=masks.classes, is_crowd=masks.is_crowd)


def _span(is_there: Bool[np.ndarray, "N S"]) -> tuple[Int64[np.ndarray, "N"], Int64[np.ndarray, "N"]]:
    """Return where each row is first true, and how far it is from there to the last true place; zeros for neither."""
    first = is_there.argmax(axis=1)
    last = is_there.shape[1] - is_there[:, ::-1].argmax(axis=1)
    return first, np.where(is_there.any(axis=1), last - first, 0)
