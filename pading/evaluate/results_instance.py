"""Instance result files, ours or anybody's: a list of scored masks or boxes, counted as COCOeval counts them.

Axes: N entries of an image, M true objects of it, T IoU thresholds, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from pading.classes import ClassTable
from pading.data.coco.entries import read_entries, read_list
from pading.data.coco.fields import entries, integer, number, shown
from pading.data.coco.instances import InstanceRecord, scan_instances
from pading.data.coco.layout import InstanceLayout
from pading.data.coco.masks import Polygons, Shape, box_overlaps, overlaps, read_shape
from pading.data.errors import DataError, all_sound
from pading.data.threads import map_in_threads
from pading.evaluate import instance
from pading.evaluate.inference import Instances
from pading.evaluate.instance import InstanceTally
from pading.evaluate.overlap import Overlap
from pading.splits.split import Split

Kind = Literal["segm", "bbox"]
IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())  # COCO's
Box = tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One entry of a result file."""

    class_index: int
    score: float
    outline: Shape | Box


def read_instance_truth(file: Path, split: Split) -> list[InstanceRecord]:
    """Return the record of each image of an instance annotation file; objects of no class of the split are left out.

    Raises:
        ValueError: if anything is wrong in the file, or it lists no image.
    """
    layout = InstanceLayout(annotations=file, images=file.parent, is_zsi=False)
    records = all_sound(scan_instances(layout, split.classes))
    if not records:
        raise DataError(str(file), "lists no image", "give the annotation file of the images that were predicted")
    return records


def read_true_boxes(file: Path) -> dict[int, Box]:
    """Return the box of each annotation by its id: outlines and boxes of COCO's files need not agree.

    Raises:
        ValueError: if an annotation has no box.
    """
    found = {}
    for _, entry in read_entries(file, ("annotations",)):
        annotation_id = integer(entry, "id", "an entry of 'annotations'", file)
        found[annotation_id] = _box(entry, f"annotation id {annotation_id}", file)
    return found


def read_instance_results(
    file: Path, kind: Kind, classes: ClassTable, truth: Sequence[InstanceRecord]
) -> dict[int, list[Found]]:
    """Return the entries of each image that has any, in the order of the file.

    Raises:
        ValueError: if an entry's image or category is unknown, its score no number, or its mask or box does not read or
            leaves the image.
    """
    sizes = {record.image_id: (record.height, record.width) for record in truth}
    found: dict[int, list[Found]] = {}
    for place, entry in enumerate(read_list(file), start=1):
        where = f"entry {place}"
        image_id = integer(entry, "image_id", where, file)
        if image_id not in sizes:
            what = f"{where} is of image id {image_id}, which {truth[0].annotation_path} does not list"
            raise DataError(str(file), what, "give the truth of these results, or remove the entry")
        where = f"{where}, of image id {image_id}"
        outline = _box(entry, where, file) if kind == "bbox" else _mask(entry, sizes[image_id], where, file)
        found.setdefault(image_id, []).append(
            Found(
                class_index=_thing(integer(entry, "category_id", where, file), classes, where, file),
                score=number(entry, "score", where, file),
                outline=outline,
            )
        )
    return found


def count_instances(
    truth: Sequence[InstanceRecord],
    results: Mapping[int, list[Found]],
    classes: ClassTable,
    true_boxes: Mapping[int, Box] | None = None,
    thresholds: Sequence[float] = IOU_THRESHOLDS,
) -> InstanceTally:
    """Return the tally of all images, a judgement for each IoU threshold; by boxes, if those of the truth are given.

    Objects without a pixel count as true ones that nobody finds, as in COCOeval.
    """

    def count(record: InstanceRecord) -> InstanceTally:
        found = results.get(record.image_id, [])
        detections = Instances(
            queries=np.arange(len(found)),
            classes=np.array([one.class_index for one in found], dtype=np.int64),
            scores=np.array([one.score for one in found], dtype=np.float64),
        )
        overlap = Overlap(
            iou=_overlaps(record, found, true_boxes),
            classes=np.array([classes.index(one.coco_id) for one in record.objects], dtype=np.int64),
            is_crowd=np.array([one.is_crowd for one in record.objects], dtype=bool),
        )
        return instance.count_image(record.image_id, detections, [overlap], classes.is_thing, thresholds)

    return InstanceTally.total(list(map_in_threads(count, truth)))


def average_precision(tally: InstanceTally) -> Float64[np.ndarray, "K"]:
    """Return COCO's AP of each class: the mean over all judgements of a tally."""
    values = [tally.quality(judgement).average_precision for judgement in range(tally.is_matched.shape[1])]
    mean: np.ndarray = np.mean(values, axis=0)
    return mean


def _overlaps(
    record: InstanceRecord, found: Sequence[Found], true_boxes: Mapping[int, Box] | None
) -> Float64[np.ndarray, "N M"]:
    crowds = [one.is_crowd for one in record.objects]
    if true_boxes is None:
        masks = [one.outline for one in found if not isinstance(one.outline, tuple)]
        return overlaps(masks, [one.shape for one in record.objects], crowds, record.height, record.width)
    true = np.array([true_boxes[one.annotation_id] for one in record.objects], dtype=np.float64)
    return box_overlaps(np.array([one.outline for one in found], dtype=np.float64), true, crowds)


def _thing(coco_id: int, classes: ClassTable, where: str, file: Path) -> int:
    if coco_id not in classes.coco_ids or not classes.is_thing[classes.index(coco_id)]:
        what = f"{where}: category id {coco_id} is no thing of class table {classes.name!r}"
        raise DataError(str(file), what, "give results of this split's classes")
    return classes.index(coco_id)


def _mask(entry: dict[str, Any], size: tuple[int, int], where: str, file: Path) -> Shape:
    shape = read_shape(entry.get("segmentation"), where, file)
    if not isinstance(shape, Polygons) and (shape.height, shape.width) != size:
        what = f"{where}: a mask of {shape.height} x {shape.width} pixels in an image of {size[0]} x {size[1]}"
        raise DataError(str(file), what, "give masks at the size of the photo")
    return shape


def _box(entry: dict[str, Any], where: str, file: Path) -> Box:
    sides = entries(entry, "bbox", where, file)
    if len(sides) != 4:
        raise DataError(str(file), f"{where}: 'bbox' is {shown(sides)}", "give left, top, width and height")
    left, top, width, height = (number({"bbox": side}, "bbox", where, file) for side in sides)
    if width < 0 or height < 0:
        raise DataError(str(file), f"{where}: 'bbox' is {shown(sides)}", "width and height may not be negative")
    return left, top, width, height
