"""Checks of a COCO panoptic folder that collect everything that is wrong, where a reader stops at the first error."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from pading.classes import ClassTable
from pading.data.annotations import ImageRecord, scan_panoptic
from pading.data.coco import check_size, has_unseen, load_sample, missing_file
from pading.data.errors import DataError, MissingFileError
from pading.data.findings import Finding, Report
from pading.data.images import open_label_image, open_photo
from pading.data.layout import find_panoptic

NUM_THREADS = 8  # opening files waits for the disk, decoding leaves Python


def verify_panoptic(
    root: Path, split: str, classes: ClassTable, decode: bool = False, limit: int | None = None
) -> Report:
    """Check one split such as "train2017": layout, annotations, files, sizes, photos shared with the other split.

    With `decode` every photo and PNG is decoded as well, and pixels are compared with the annotation file; without,
    only headers are read. `limit` bounds the number of images whose files are opened; the annotation file is always
    checked whole. Nothing that is wrong with the data raises; it becomes a finding.
    """
    records, findings = [], []
    try:
        for item in scan_panoptic(find_panoptic(Path(root), split), classes):
            if isinstance(item, DataError):
                findings.append(Finding.from_error(item))
            else:
                records.append(item)
    except (DataError, MissingFileError) as error:
        findings.append(Finding.from_error(error))

    def check(record: ImageRecord) -> list[Finding]:
        found = [*_entry_findings(record, classes), *_shared_photo(record, Path(root) / _other(split), split)]
        return found + list(_file_findings(record, classes, decode))

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        for found in threads.map(check, islice(records, limit)):
            findings.extend(found)

    segments = [segment for record in records for segment in record.segments]
    per_class = Counter(segment.coco_id for segment in segments)
    return Report(
        root=str(root),
        split=split,
        num_images=len(records),
        num_segments=len(segments),
        num_crowds=sum(segment.is_crowd for segment in segments),
        num_without_unseen=sum(not has_unseen(record, classes) for record in records),
        class_segments={
            name: per_class[coco_id] for name, coco_id in zip(classes.names, classes.coco_ids, strict=True)
        },
        unseen_names=tuple(classes.names[index] for index in classes.unseen),
        findings=tuple(findings),
    )


def _entry_findings(record: ImageRecord, classes: ClassTable) -> Iterator[Finding]:
    """Yield what is legal in an annotation, but unusual."""
    file, where = str(record.annotation_path), f"image id {record.image_id}"
    if not record.segments:
        yield Finding(
            severity="warning", file=file, what=f"{where} has no segments", remedy="leave it out if unintended"
        )
    for segment in record.segments:
        if segment.is_crowd and not classes.is_thing[classes.index(segment.coco_id)]:
            what = f"{where}: segment {segment.segment_id} of category id {segment.coco_id} is a crowd of stuff"
            yield Finding(severity="warning", file=file, what=what, remedy="crowds are of things; set iscrowd to 0")


def _shared_photo(record: ImageRecord, other_images: Path, split: str) -> Iterator[Finding]:
    twin = other_images / record.file_name
    if twin.is_file() and record.image_path.is_file() and twin.read_bytes() == record.image_path.read_bytes():
        what = f"is the same photo as in {split}/"
        yield Finding(severity="error", file=str(twin), what=what, remedy="remove it from one: test images must be new")


def _file_findings(record: ImageRecord, classes: ClassTable, decode: bool) -> Iterator[Finding]:
    """Yield what is wrong with the photo and the PNG of one image."""
    found = []
    for path, opener in ((record.image_path, open_photo), (record.label_path, open_label_image)):
        try:
            with path.open("rb") as stream:
                check_size(opener(stream, str(path)).size, str(path), record)
        except DataError as error:
            found.append(Finding.from_error(error))
        except FileNotFoundError:
            found.append(Finding.from_error(missing_file(path, record)))
    yield from found
    if decode and not found:
        yield from _pixel_findings(record, classes)


def _pixel_findings(record: ImageRecord, classes: ClassTable) -> Iterator[Finding]:
    try:
        _, sample = load_sample(record, classes)
    except DataError as error:
        yield Finding.from_error(error)
        return
    for listed, counted in zip(record.segments, sample.segments, strict=True):
        if listed.area_px != counted.area_px:
            what = f"image id {record.image_id}: segment {listed.segment_id} has area {listed.area_px}"
            what += f", but {counted.area_px} pixels in {record.label_path}"
            remedy = "pixels are believed; correct the area"
            yield Finding(severity="warning", file=str(record.annotation_path), what=what, remedy=remedy)


def _other(split: str) -> str:
    return split.replace("train", "val") if split.startswith("train") else split.replace("val", "train")
