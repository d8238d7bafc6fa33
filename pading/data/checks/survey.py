"""The annotations of one part of a split, read whole: the sound images, whether the split keeps them, what is wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pading.classes import ClassTable
from pading.data.checks.duplicates import Photo
from pading.data.checks.findings import Finding
from pading.data.checks.report import ClassCounts
from pading.data.coco.instances import InstanceRecord
from pading.data.coco.panoptic import PanopticRecord
from pading.data.coco.record import ImageRecord
from pading.data.coco.source import choose, scan
from pading.data.errors import DataError, MissingFileError, OtherClassesError
from pading.splits.split import Part, Split

KEPT = "kept"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenImage:
    """An image, and "kept" or the reason why the split leaves it out."""

    record: ImageRecord
    choice: str

    @property
    def is_kept(self) -> bool:
        """Whether the split uses the image."""
        return self.choice == KEPT

    def blame(self, error: DataError | MissingFileError) -> Finding:
        """Return what a reader raised for this image; no error if the split leaves the image out."""
        finding = Finding.from_error(error, is_skippable=True)
        return finding if self.is_kept else finding.as_warning(f"left out: {self.choice}")

    def warn(self, file: Path, what: str, remedy: str) -> Finding:
        """Return something about this image that deserves a look."""
        what = f"image id {self.record.image_id} {what}"
        return Finding(severity="warning", file=str(file), what=what, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the annotations of one part say, without opening an image."""

    root: Path
    split: Split
    part: Part
    images: tuple[ChosenImage, ...]  # the sound ones, in the order of the annotation file
    findings: tuple[Finding, ...]

    @property
    def photos(self) -> list[Photo]:
        """The kept images by name."""
        records = [image.record for image in self.images if image.is_kept]
        return [Photo(image_id=each.image_id, file_name=each.file_name, path=each.image_path) for each in records]


def survey(root: Path, split: Split, part: Part) -> Survey:
    """Read the annotations of one part; nothing that is wrong with them raises."""
    images: list[ChosenImage] = []
    findings: list[Finding] = []
    try:
        for item in scan(root, split, part):
            if isinstance(item, DataError):
                findings.append(Finding.from_error(item, is_skippable=not isinstance(item, OtherClassesError)))
            else:
                images.append(ChosenImage(record=item, choice=choose(item, split, part)))
    except (DataError, MissingFileError) as error:  # nothing can be scanned: no image to leave out
        findings.append(Finding.from_error(error, is_skippable=False))
    for image in images:
        findings += _unusual(image, split.classes)
    return Survey(root=root, split=split, part=part, images=tuple(images), findings=tuple(findings))


def listed_counts(images: Iterable[ChosenImage], classes: ClassTable) -> ClassCounts | None:
    """Count the segments that the kept images list; None for label maps, which list none."""
    segments = np.zeros(classes.num_classes, dtype=np.int64)
    num_crowds = 0
    for image in images:
        if (listed := _listed(image.record, classes)) is None:
            return None
        for class_index, is_crowd in listed if image.is_kept else ():
            segments[class_index] += not is_crowd
            num_crowds += is_crowd
    return ClassCounts(segments=tuple(segments.tolist()), pixels=(0,) * classes.num_classes, num_crowds=num_crowds)


def _listed(record: ImageRecord, classes: ClassTable) -> list[tuple[int, bool]] | None:
    """Return the class and "is a crowd" of each segment that an image lists."""
    if isinstance(record, PanopticRecord):
        return [(classes.index(segment.coco_id), segment.is_crowd) for segment in record.segments]
    if isinstance(record, InstanceRecord):
        return [(classes.index(each.coco_id), each.is_crowd) for each in record.objects]
    return None


def _unusual(image: ChosenImage, classes: ClassTable) -> Iterator[Finding]:
    """Yield what is legal in an annotation, but unusual."""
    record = image.record
    if not isinstance(record, PanopticRecord):
        return
    if not record.segments:
        yield image.warn(record.annotation_path, "has no segments", "leave it out if unintended")
    for segment in record.segments:
        if segment.is_crowd and not classes.is_thing[classes.index(segment.coco_id)]:
            what = f"has segment {segment.segment_id} of category id {segment.coco_id}, a crowd of stuff"
            yield image.warn(record.annotation_path, what, "crowds are of things; set iscrowd to 0")
