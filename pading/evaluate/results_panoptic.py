"""Panoptic result files, ours or anybody's: a JSON of segments and a PNG for each image, counted against the truth's.

What panopticapi would pass over in silence or stumble on is one clear error here. Axes: H W pixels.
"""

from collections.abc import Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from pading.classes import ClassTable
from pading.data.coco.entries import read_entries
from pading.data.coco.fields import entries, integer, text
from pading.data.coco.layout import PanopticLayout, path_inside
from pading.data.coco.panoptic import MAX_SEGMENT_ID, PanopticRecord, SegmentRecord, load_label_map, scan_panoptic
from pading.data.coco.tables import OTHER_TABLE, new_id
from pading.data.errors import DataError, all_sound
from pading.data.sample import Segment
from pading.data.threads import map_in_threads
from pading.evaluate import panoptic
from pading.evaluate.panoptic import PanopticTally


def read_panoptic_truth(file: Path, pictures: Path, classes: ClassTable) -> list[PanopticRecord]:
    """Return the record of each image of a panoptic annotation file; `pictures` is the folder of its PNGs.

    Raises:
        ValueError: if anything is wrong in the file, or it lists no image.
    """
    layout = PanopticLayout(annotations=file, images=pictures, labels=pictures)
    records = all_sound(scan_panoptic(layout, classes))
    if not records:
        raise DataError(str(file), "lists no image", "give the annotation file of the images that were predicted")
    return records


def read_panoptic_results(
    file: Path, pictures: Path, classes: ClassTable, truth: Sequence[PanopticRecord]
) -> list[PanopticRecord]:
    """Return what a result file says of each image of the truth, in the truth's order.

    Of an entry only what panopticapi reads is asked for: image, PNG, and id and category of each segment.

    Raises:
        ValueError: if an image is missing, unknown or listed twice, or a field, id or category is wrong.
    """
    listed = {record.image_id: record for record in truth}
    found: dict[int, PanopticRecord] = {}
    for _, entry in read_entries(file, ("annotations",)):
        image_id = new_id(entry, "image_id", "annotations", found, file)
        if image_id not in listed:
            what = f"an entry is of image id {image_id}, which {truth[0].annotation_path} does not list"
            raise DataError(str(file), what, "give the truth of these results, or remove the entry")
        found[image_id] = _record(entry, listed[image_id], file, pictures, classes)
    if missing := [image_id for image_id in listed if image_id not in found]:
        what = f"has no entry of {len(missing)} images of {truth[0].annotation_path}, the first of id {missing[0]}"
        raise DataError(str(file), what, "predict every image; one without segments has an empty 'segments_info'")
    return [found[image_id] for image_id in listed]


def count_panoptic(
    truth: Sequence[PanopticRecord], results: Sequence[PanopticRecord], classes: ClassTable
) -> PanopticTally:
    """Return the tally of all images, decoded in threads and added in order.

    Raises:
        FileNotFoundError: if a PNG is missing.
        ValueError: if one is damaged, has another size than the truth lists, or disagrees with its JSON.
    """

    def count(pair: tuple[PanopticRecord, PanopticRecord]) -> PanopticTally:
        (true_map, areas), (found_map, _) = map(load_label_map, pair)
        segments = [
            Segment(
                segment_id=segment.segment_id,
                class_index=classes.index(segment.coco_id),
                is_crowd=segment.is_crowd,
                area_px=int(area_px),
            )
            for segment, area_px in zip(pair[0].segments, areas, strict=True)
        ]
        found = np.array([classes.index(segment.coco_id) for segment in pair[1].segments], dtype=np.int64)
        return panoptic.count_image(found_map, found, true_map, segments, classes.num_classes)

    return reduce(add, map_in_threads(count, list(zip(truth, results, strict=True))))


def _record(
    entry: dict[str, Any], image: PanopticRecord, file: Path, pictures: Path, classes: ClassTable
) -> PanopticRecord:
    where = f"image id {image.image_id}"
    name = text(entry, "file_name", where, file)
    segments = tuple(_segment(each, where, classes, file) for each in entries(entry, "segments_info", where, file))
    if len({segment.segment_id for segment in segments}) != len(segments):
        raise DataError(str(file), f"{where}: a segment id occurs twice", "give every segment of an image its own id")
    return PanopticRecord(
        image_id=image.image_id,
        file_name=image.file_name,
        image_path=image.image_path,
        annotation_path=file,
        height=image.height,
        width=image.width,
        label_path=path_inside(pictures, name, file),
        segments=segments,
    )


def _segment(entry: Any, where: str, classes: ClassTable, file: Path) -> SegmentRecord:
    segment_id = integer(entry, "id", where, file)
    if not 0 < segment_id <= MAX_SEGMENT_ID:
        remedy = f"use ids from 1 to {MAX_SEGMENT_ID}; 0 is void"
        raise DataError(str(file), f"{where}: segment id {segment_id}", remedy)
    coco_id = integer(entry, "category_id", where, file)
    try:
        classes.index(coco_id)
    except ValueError as error:
        raise DataError(str(file), f"{where}: segment {segment_id}: {error}", OTHER_TABLE) from error
    return SegmentRecord(segment_id=segment_id, coco_id=coco_id, is_crowd=False, area_px=0)
