"""The outputs of one image in the forms of COCO's result files; those of its truth in the same.

Large photos are judged at a smaller size and enlarged, which loses nothing: masks come at a quarter of the network's
input. Axes: Q queries, N entries, K classes, H W pixels of the photo, h w pixels at which the masks were made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

from pading.classes import ClassTable
from pading.data.coco.masks import boxes, compress
from pading.evaluate.inference import Instances
from pading.evaluate.predictions import ImagePrediction

PIXELS_JUDGED = 2**21  # of a photo; a hundred queries take five hundred bytes for each
MASKS_TOGETHER = 8  # enlarged and encoded at a time
LARGEST_ID = 256**3 - 1
Mask = Bool[np.ndarray, "H W"]


def at_judged_size(prediction: ImagePrediction) -> ImagePrediction:
    """Return a prediction without truth at a size that bounds the memory of its masks; small photos keep theirs."""
    shrink = (PIXELS_JUDGED / (prediction.height * prediction.width)) ** 0.5
    if shrink >= 1:
        return prediction
    height, width = max(1, int(prediction.height * shrink)), max(1, int(prediction.width * shrink))
    nothing = np.zeros((1, height, width), np.uint16)
    return replace(prediction, height=height, width=width, label_maps=nothing, segments=())


def enlarged(labels: Int[np.ndarray, "*n h w"], size: tuple[int, int]) -> Int[np.ndarray, "*n H W"]:
    """Return maps at (height, width), each pixel that of its place."""
    if labels.shape[-2:] == size:
        return labels
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, labels.shape[-2:], strict=True))
    larger: np.ndarray = labels[..., rows[:, None], columns]
    return larger


def segment_colours(segment_ids: Int[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Return the picture of a panoptic PNG: id = R + 256 G + 65536 B.

    Raises:
        ValueError: if an id is negative or beyond 24 bits.
    """
    if segment_ids.size and not 0 <= segment_ids.min() <= segment_ids.max() <= LARGEST_ID:
        raise ValueError(f"segment ids {segment_ids.min()}..{segment_ids.max()} do not fit the 24 bits of a colour")
    ids = segment_ids.astype(np.uint32)
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=2).astype(np.uint8)


def segments_info(label_map: Int[np.ndarray, "H W"], coco_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return the list of a panoptic annotation: segment i + 1 of the map has category coco_ids[i]."""
    areas = np.bincount(label_map.ravel(), minlength=len(coco_ids) + 1)
    return [
        {"id": number, "category_id": coco_id, "area": int(areas[number]), "iscrowd": 0}
        for number, coco_id in enumerate(coco_ids, start=1)
    ]


def instance_entries(
    found: Instances, is_positive: Bool[np.ndarray, "Q h w"], classes: ClassTable, size: tuple[int, int]
) -> list[dict[str, Any]]:
    """Return COCO's results but for the image id: category, score, run lengths and box; masks without pixel have none.

    A mask is encoded once, whatever number of classes it is tried as.
    """
    has_pixels = is_positive.reshape(len(is_positive), -1).max(axis=1, initial=False)
    queries = np.unique(found.queries[has_pixels[found.queries]])
    codes: list[str] = []
    for start in range(0, len(queries), MASKS_TOGETHER):
        codes += compress(enlarged(is_positive[queries[start : start + MASKS_TOGETHER]], size))
    outlines = boxes(codes, size)
    place = {int(query): position for position, query in enumerate(queries)}
    return [
        {
            "category_id": classes.coco_ids[index],
            "score": score,
            "segmentation": {"size": list(size), "counts": codes[place[query]]},
            "bbox": outlines[place[query]].tolist(),
        }
        for query, index, score in zip(
            *map(np.ndarray.tolist, (found.queries, found.classes, found.scores)), strict=True
        )
        if query in place
    ]


def true_segment_ids(truth: ImagePrediction) -> Int[np.ndarray, "H W"]:
    """Return the segment id of each pixel of an image's only layer of truth, 0 where there is none."""
    ids = np.array([0, *(segment.segment_id for segment in truth.segments)], dtype=np.int64)
    of_pixels: np.ndarray = ids[truth.label_map]
    return of_pixels


def true_segments_info(truth: ImagePrediction, classes: ClassTable) -> list[dict[str, Any]]:
    """Return the list of an image's panoptic annotation, ids as in the data that it was read from."""
    areas = np.bincount(truth.label_map.ravel(), minlength=len(truth.segments) + 1)
    return [
        {
            "id": segment.segment_id,
            "category_id": classes.coco_ids[segment.class_index],
            "area": int(areas[label]),
            "iscrowd": int(segment.is_crowd),
        }
        for label, segment in enumerate(truth.segments, start=1)
    ]


def true_instances(truth: ImagePrediction, classes: ClassTable) -> Iterator[dict[str, Any]]:
    """Yield the annotation of each true thing but for its id, its mask from the layer that it lies in."""
    size = (truth.height, truth.width)
    for label, segment in enumerate(truth.segments, start=1):
        if not classes.is_thing[segment.class_index]:
            continue
        mask = (truth.label_maps == label).any(axis=0)
        codes = compress(mask[None])
        yield {
            "image_id": truth.image_id,
            "category_id": classes.coco_ids[segment.class_index],
            "iscrowd": int(segment.is_crowd),
            "area": int(mask.sum()),
            "bbox": boxes(codes, size)[0].tolist(),
            "segmentation": {"size": list(size), "counts": codes[0]},
        }
