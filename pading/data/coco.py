"""COCO panoptic folders to samples: light records first, then one image at a time, decoded and checked.

Axes: H W pixels.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt16, UInt32

from pading.classes import ClassTable
from pading.data.annotations import ImageRecord, scan_panoptic
from pading.data.errors import DataError, MissingFileError
from pading.data.images import MAX_PIXELS, decode_photo, decode_segment_ids, open_label_image, open_photo
from pading.data.layout import find_panoptic
from pading.data.sample import Sample, Segment

MAX_SEGMENTS = 2**16 - 1  # what a 16-bit label map can tell apart
MAKE_AGREE = "make the PNG and the JSON agree"


def read_panoptic(root: Path, split: str, classes: ClassTable) -> list[ImageRecord]:
    """Return what the annotation file of a split such as "train2017" says about each image, in its order.

    Raises:
        FileNotFoundError: if the folder has not the layout of COCO panoptic.
        ValueError: if the annotation file is damaged, lacks a key, repeats an id, or has an unknown category or name.
    """
    records = []
    for item in scan_panoptic(find_panoptic(Path(root), split), classes):
        if isinstance(item, DataError):
            raise item
        records.append(item)
    return records


def has_unseen(record: ImageRecord, classes: ClassTable) -> bool:
    """Return whether any segment, crowd or not, is of an unseen class: such images are kept out of training."""
    return any(not classes.is_seen[classes.index(segment.coco_id)] for segment in record.segments)


def load_sample(record: ImageRecord, classes: ClassTable, max_pixels: int = MAX_PIXELS) -> tuple[bytes, Sample]:
    """Return the JPEG as found and the image decoded; areas are counted, not believed.

    Raises:
        FileNotFoundError: if the photo or the PNG is missing.
        ValueError: if one is damaged or larger than `max_pixels`, or photo, PNG and JSON disagree.
    """
    photo_file, label_file = str(record.image_path), str(record.label_path)
    jpeg = _read(record.image_path, record)
    photo = open_photo(io.BytesIO(jpeg), photo_file, max_pixels)
    check_size(photo.size, photo_file, record)
    label_image = open_label_image(io.BytesIO(_read(record.label_path, record)), label_file, max_pixels)
    check_size(label_image.size, label_file, record)
    label_map, areas = _label_map(decode_segment_ids(label_image, label_file), record)
    segments = tuple(
        Segment(
            segment_id=segment.segment_id,
            class_index=classes.index(segment.coco_id),
            is_crowd=segment.is_crowd,
            area_px=int(area_px),
        )
        for segment, area_px in zip(record.segments, areas, strict=True)
    )
    image = np.asarray(decode_photo(photo, photo_file))
    return jpeg, Sample(
        image_id=record.image_id, file_name=record.file_name, image=image, label_map=label_map, segments=segments
    )


def missing_file(path: Path, record: ImageRecord) -> MissingFileError:
    """Return the error of a file that the record names and that is not there."""
    what = f"is missing, but {record.annotation_path} lists it for image id {record.image_id}"
    return MissingFileError(str(path), what, "download or unpack it again")


def check_size(width_height: tuple[int, int], file: str, record: ImageRecord) -> None:
    """Check a header against the annotation file.

    Raises:
        ValueError: if the sizes differ.
    """
    if width_height != (record.width, record.height):
        width, height = width_height
        what = f"is {width} x {height} pixels, but {record.width} x {record.height} in {record.annotation_path}"
        raise DataError(file, what, "the two are of different releases or resized: take both from one")


def _read(path: Path, record: ImageRecord) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise missing_file(path, record) from error


def _label_map(
    segment_ids: UInt32[np.ndarray, "H W"], record: ImageRecord
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
