"""A COCO panoptic annotation file: its entries checked and joined into one light record per image."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pading.classes import ClassTable
from pading.data.errors import DataError
from pading.data.images import CORRUPT, DOWNLOAD_AGAIN
from pading.data.layout import PanopticLayout, path_inside

KEYS = ("images", "annotations", "categories")
MAX_SEGMENT_ID = 256**3 - 1  # what R + 256 G + 65536 B can hold; 0 is void
OTHER_TABLE = "use the class table of this data set"


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentRecord:
    """One entry of `segments_info`."""

    segment_id: int
    coco_id: int
    is_crowd: bool
    area_px: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """What the annotation file says about one image; nothing is opened or decoded."""

    image_id: int
    file_name: str
    height: int
    width: int
    image_path: Path
    label_path: Path
    annotation_path: Path
    segments: tuple[SegmentRecord, ...]


def scan_panoptic(layout: PanopticLayout, classes: ClassTable) -> Iterator[ImageRecord | DataError]:
    """Yield one record for each sound image, in the order of the file, and one error for each thing that is wrong.

    Raises:
        ValueError: if the file is no JSON object or lacks a key, so that nothing can be scanned.
    """
    file = layout.annotations
    document = _read_document(file)
    yield from _wrong_categories(document["categories"], classes, file)
    images: dict[int, dict[str, Any]] = {}
    annotations: dict[int, dict[str, Any]] = {}
    for name, key, table in (("images", "id", images), ("annotations", "image_id", annotations)):
        for entry in document[name]:
            image_id = entry.get(key)
            if not isinstance(image_id, int):
                yield DataError(str(file), f"an entry of {name!r} has {key} {image_id!r}", "give an integer")
            elif image_id in table:
                yield DataError(str(file), f"image id {image_id} occurs twice in {name!r}", "keep one")
            else:
                table[image_id] = entry
    for image_id, image in images.items():
        if image_id not in annotations:
            yield DataError(str(file), f"image id {image_id} has no annotation", "add it or remove the image")
            continue
        try:
            yield _image_record(image, annotations[image_id], layout, classes)
        except DataError as error:
            yield error
    for image_id in annotations:
        if image_id not in images:
            yield DataError(
                str(file), f"an annotation is of image id {image_id}, which is not listed", "list the image"
            )


def _read_document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_bytes())
    except ValueError as error:
        raise DataError(str(file), f"{CORRUPT} (not readable as JSON: {error})", DOWNLOAD_AGAIN) from error
    found = document if isinstance(document, dict) else {}
    for key in KEYS:
        if not isinstance(found.get(key), list) or not all(isinstance(entry, dict) for entry in found[key]):
            raise DataError(str(file), f"has no list of objects {key!r}", "give a COCO panoptic annotation file")
    return found


def _wrong_categories(categories: list[dict[str, Any]], classes: ClassTable, file: Path) -> Iterator[DataError]:
    described = {category.get("id"): category for category in categories}
    for coco_id, name, is_thing in zip(classes.coco_ids, classes.names, classes.is_thing, strict=True):
        expected = (name, is_thing)
        category = described.get(coco_id)
        if category is not None and (found := (category.get("name"), bool(category.get("isthing")))) != expected:
            what = (
                f"category id {coco_id} is (name, is thing) = {found}, but {expected} in class table {classes.name!r}"
            )
            yield DataError(str(file), what, OTHER_TABLE)


def _image_record(
    image: dict[str, Any], annotation: dict[str, Any], layout: PanopticLayout, classes: ClassTable
) -> ImageRecord:
    file = layout.annotations
    where = f"image id {image['id']}"
    file_name, label_name = (
        _field(image, "file_name", str, where, file),
        _field(annotation, "file_name", str, where, file),
    )
    entries = _field(annotation, "segments_info", list, where, file)
    segments = tuple(_segment_record(entry, where, classes, file) for entry in entries)
    if len({segment.segment_id for segment in segments}) != len(segments):
        raise DataError(str(file), f"{where}: a segment id occurs twice", "give every segment of an image its own id")
    height, width = (_field(image, key, int, where, file) for key in ("height", "width"))
    if min(height, width) < 1:
        raise DataError(str(file), f"{where}: size is {height} x {width}", "give the size of the photo in pixels")
    return ImageRecord(
        image_id=image["id"],
        file_name=file_name,
        height=height,
        width=width,
        image_path=path_inside(layout.images, file_name, file),
        label_path=path_inside(layout.labels, label_name, file),
        annotation_path=file,
        segments=segments,
    )


def _segment_record(entry: Any, where: str, classes: ClassTable, file: Path) -> SegmentRecord:
    segment_id, coco_id, is_crowd, area_px = (
        _field(entry, key, int, where, file) for key in ("id", "category_id", "iscrowd", "area")
    )
    if not 0 < segment_id <= MAX_SEGMENT_ID:
        raise DataError(
            str(file), f"{where}: segment id {segment_id}", f"use ids from 1 to {MAX_SEGMENT_ID}; 0 is void"
        )
    try:
        classes.index(coco_id)
    except ValueError as error:
        raise DataError(str(file), f"{where}: {error}", OTHER_TABLE) from error
    if is_crowd not in (0, 1):
        raise DataError(str(file), f"{where}: segment {segment_id} has iscrowd {is_crowd}", "use 0 or 1")
    return SegmentRecord(segment_id=segment_id, coco_id=coco_id, is_crowd=bool(is_crowd), area_px=area_px)


def _field(entry: Any, key: str, kind: type, where: str, file: Path) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise DataError(
            str(file), f"{where}: {key!r} is {value!r}, not {kind.__name__}", "give what COCO's format asks for"
        )
    return value
