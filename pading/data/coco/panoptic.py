"""COCO panoptic: a JSON that lists the segments of each image, and a PNG whose colours are segment ids.

Axes: H W pixels, M segments of an image.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt16, UInt32

from pading.classes import ClassTable
from pading.data.coco.entries import read_entries
from pading.data.coco.fields import entries, flag, integer, text
from pading.data.coco.layout import PanopticLayout, path_inside
from pading.data.coco.record import ImageRecord, LoadedImage, check_size, read_listed
from pading.data.coco.tables import OTHER_TABLE, ImageEntry, image_entry, new_id, wrong_categories
from pading.data.errors import DataError
from pading.data.images import MAX_PIXELS, decode_segment_ids, open_label_image, open_photo
from pading.data.jpeg import decode_jpeg
from pading.data.sample import Sample, Segment

MAX_SEGMENT_ID = 256**3 - 1  # what R + 256 G + 65536 B can hold; 0 is void
MAX_SEGMENTS = 2**16 - 1  # what a 16-bit label map can tell apart
MAKE_AGREE = "make the PNG and the JSON agree"


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentRecord:
    """One entry of `segments_info`."""

    segment_id: int
    coco_id: int
    is_crowd: bool
    area_px: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PanopticRecord(ImageRecord):
    """What a panoptic annotation file says about one image."""

    height: int
    width: int
    label_path: Path
    segments: tuple[SegmentRecord, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Annotation:
    label_path: Path
    segments: tuple[SegmentRecord, ...]


def scan_panoptic(layout: PanopticLayout, classes: ClassTable) -> Iterator[PanopticRecord | DataError]:
    """Yield one error for each thing that is wrong and one record for each sound image, in the order of the file.

    Raises:
        ValueError: if the file is no JSON object or lacks a key, so that nothing can be scanned.
    """
    file = layout.annotations
    # An entry that is wrong leaves None, so that it is not missed a second time.
    images: dict[int, ImageEntry | None] = {}
    annotations: dict[int, _Annotation | None] = {}
    categories: list[dict[str, Any]] = []
    wrong: list[DataError] = []
    for key, entry in read_entries(file, ("images", "annotations", "categories")):
        try:
            if key == "images":
                image_id = new_id(entry, "id", key, images, file)
                images[image_id] = None
                images[image_id] = image_entry(entry, image_id, layout.images, file)
            elif key == "annotations":
                image_id = new_id(entry, "image_id", key, annotations, file)
                annotations[image_id] = None
                annotations[image_id] = _annotation(entry, image_id, layout, classes)
            else:
                categories.append(entry)
        except DataError as error:
            wrong.append(error)
    yield from wrong_categories(categories, classes, has_stuff=True, file=file)
    yield from wrong
    for image_id in (image_id for image_id in annotations if image_id not in images):
        what = f"an annotation is of image id {image_id}, which is not listed"
        yield DataError(str(file), what, "list the image")
    for image_id, image in images.items():
        if image_id not in annotations:
            yield DataError(str(file), f"image id {image_id} has no annotation", "add it or remove the image")
        elif image is not None and (annotation := annotations[image_id]) is not None:
            yield PanopticRecord(
                image_id=image_id,
                file_name=image.file_name,
                image_path=image.path,
                annotation_path=file,
                height=image.height,
                width=image.width,
                label_path=annotation.label_path,
                segments=annotation.segments,
            )


def load_panoptic(record: PanopticRecord, classes: ClassTable, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Return the JPEG as found and the image decoded; areas are counted, not believed.

    Raises:
        FileNotFoundError: if the photo or the PNG is missing.
        ValueError: if one is damaged or larger than `max_pixels`, or photo, PNG and JSON disagree.
    """
    photo_file = str(record.image_path)
    jpeg = read_listed(record.image_path, record)
    photo = open_photo(io.BytesIO(jpeg), photo_file, max_pixels)
    check_size(photo.size, photo_file, (record.width, record.height), record.annotation_path)
    label_map, areas = load_label_map(record, max_pixels)
    segments = tuple(
        Segment(
            segment_id=segment.segment_id,
            class_index=classes.index(segment.coco_id),
            is_crowd=segment.is_crowd,
            area_px=int(area_px),
        )
        for segment, area_px in zip(record.segments, areas, strict=True)
    )
    sample = Sample(
        image_id=record.image_id,
        file_name=record.file_name,
        image=decode_jpeg(jpeg, photo_file, (photo.height, photo.width)),
        label_maps=label_map[None],
        segments=segments,
    )
    return LoadedImage(jpeg=jpeg, sample=sample, hidden_px=0)


def load_label_map(
    record: PanopticRecord, max_pixels: int = MAX_PIXELS
) -> tuple[UInt16[np.ndarray, "H W"], Int[np.ndarray, "M"]]:
    """Return the label map of an image, 0 = void and i + 1 = segment i, and the pixels of each segment.

    Raises:
        FileNotFoundError: if the PNG is missing.
        ValueError: if it is damaged or larger than `max_pixels`, has another size than listed, or disagrees with the
            JSON.
    """
    file = str(record.label_path)
    label_image = open_label_image(io.BytesIO(read_listed(record.label_path, record)), file, max_pixels)
    check_size(label_image.size, file, (record.width, record.height), record.annotation_path)
    return _label_map(decode_segment_ids(label_image, file), record)


def _annotation(entry: dict[str, Any], image_id: int, layout: PanopticLayout, classes: ClassTable) -> _Annotation:
    file, where = layout.annotations, f"image id {image_id}"
    label_name = text(entry, "file_name", where, file)
    segments = tuple(
        _segment_record(segment, where, classes, file) for segment in entries(entry, "segments_info", where, file)
    )
    if len({segment.segment_id for segment in segments}) != len(segments):
        raise DataError(str(file), f"{where}: a segment id occurs twice", "give every segment of an image its own id")
    return _Annotation(label_path=path_inside(layout.labels, label_name, file), segments=segments)


def _segment_record(entry: Any, where: str, classes: ClassTable, file: Path) -> SegmentRecord:
    segment_id = integer(entry, "id", where, file)
    if not 0 < segment_id <= MAX_SEGMENT_ID:
        raise DataError(
            str(file), f"{where}: segment id {segment_id}", f"use ids from 1 to {MAX_SEGMENT_ID}; 0 is void"
        )
    where = f"{where}: segment {segment_id}"
    coco_id = integer(entry, "category_id", where, file)
    try:
        classes.index(coco_id)
    except ValueError as error:
        raise DataError(str(file), f"{where}: {error}", OTHER_TABLE) from error
    is_crowd, area_px = flag(entry, "iscrowd", where, file), integer(entry, "area", where, file)
    return SegmentRecord(segment_id=segment_id, coco_id=coco_id, is_crowd=is_crowd, area_px=area_px)


def _label_map(
    segment_ids: UInt32[np.ndarray, "H W"], record: PanopticRecord
) -> tuple[UInt16[np.ndarray, "H W"], Int[np.ndarray, "M"]]:
    """Replace segment ids by positions (0 = void, i + 1 = segment i) and count the pixels of each segment.

    Works on runs of equal ids in row order, some fifty times fewer than pixels.
    """
    listed = np.array([0, *(segment.segment_id for segment in record.segments)], dtype=np.uint32)
    if len(record.segments) > MAX_SEGMENTS:
        what = f"image id {record.image_id} has {len(record.segments)} segments"
        raise DataError(str(record.annotation_path), what, f"give at most {MAX_SEGMENTS}")
    pixels = segment_ids.ravel()
    starts = np.concatenate([[0], np.flatnonzero(pixels[1:] != pixels[:-1]) + 1])
    lengths = np.diff(starts, append=pixels.size)
    order = np.argsort(listed)
    found = order[np.minimum(np.searchsorted(listed, pixels[starts], sorter=order), len(listed) - 1)]
    unlisted = np.unique(pixels[starts][listed[found] != pixels[starts]])
    if unlisted.size:
        what = f"has segment id {unlisted[0]}, which {record.annotation_path} lacks for image id {record.image_id}"
        raise DataError(str(record.label_path), what, MAKE_AGREE)
    areas = np.bincount(found, weights=lengths, minlength=len(listed))[1:].astype(np.int64)
    if not areas.all():
        absent = record.segments[int(np.argmin(areas))].segment_id
        what = (
            f"has no pixel of segment id {absent}, which {record.annotation_path} lists for image id {record.image_id}"
        )
        raise DataError(str(record.label_path), what, MAKE_AGREE)
    return np.repeat(found.astype(np.uint16), lengths).reshape(segment_ids.shape), areas
