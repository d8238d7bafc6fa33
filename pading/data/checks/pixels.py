"""The thorough part of a check: images are decoded, and their pixels compared with what the annotation says."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pading.classes import ClassTable
from pading.data.checks.findings import Finding
from pading.data.checks.report import ClassCounts
from pading.data.checks.survey import ChosenImage
from pading.data.coco.instances import InstanceRecord
from pading.data.coco.panoptic import PanopticRecord
from pading.data.coco.record import LoadedImage
from pading.data.coco.source import load
from pading.data.errors import DataError, MissingFileError
from pading.data.sample import Sample
from pading.splits.split import Part, Split

BELIEVED = "pixels are believed; correct the area"
# Areas of objects are those of their outlines, and pixels on an outline fall to either side.
AREA_FACTOR, AREA_PX = 1.5, 64


@dataclass(frozen=True, kw_only=True)
class PixelCheck:
    """What decoding some images showed."""

    findings: tuple[Finding, ...]
    counts: ClassCounts  # of the kept images


def check_pixels(images: Iterable[ChosenImage], split: Split, part: Part) -> PixelCheck:
    """Decode images, compare areas, look for masks without a pixel, and count the pixels of each class."""
    findings: list[Finding] = []
    counts = ClassCounts.zero(split.classes)
    for image in images:
        try:
            loaded = load(image.record, split, part)
        except (DataError, MissingFileError) as error:
            findings.append(image.blame(error))
            continue
        findings += _disagreements(image, loaded)
        if image.is_kept:
            counts += _counts(loaded.sample, split.classes)
    return PixelCheck(findings=tuple(findings), counts=counts)


def _disagreements(image: ChosenImage, loaded: LoadedImage) -> Iterator[Finding]:
    """Yield a warning for each listed area or mask that the pixels do not bear out."""
    record, sample = image.record, loaded.sample
    if isinstance(record, PanopticRecord):
        for listed, counted in zip(record.segments, sample.segments, strict=True):
            if listed.area_px != counted.area_px:
                what = f"has area {listed.area_px} for segment {listed.segment_id}, {record.label_path.name} has "
                yield image.warn(record.annotation_path, f"{what}{counted.area_px} pixels of it", BELIEVED)
    elif isinstance(record, InstanceRecord):
        yield from _object_disagreements(image, record, sample)
    elif not sample.segments and not loaded.hidden_px:
        yield image.warn(record.image_path, "has no labelled pixel", "leave it out if unintended")


def _object_disagreements(image: ChosenImage, record: InstanceRecord, sample: Sample) -> Iterator[Finding]:
    counted = {segment.segment_id: segment.area_px for segment in sample.segments}
    for listed in record.objects:
        name = f"annotation {listed.annotation_id}"
        if listed.annotation_id not in counted:
            what = f"has {name}, whose mask has no pixel"
            yield image.warn(record.annotation_path, what, "it is left out; nothing else is needed")
            continue
        area_px = counted[listed.annotation_id]
        if max(area_px, listed.area_px) > AREA_FACTOR * min(area_px, listed.area_px) + AREA_PX:
            what = f"has area {listed.area_px:g} for {name}, whose mask has {area_px} pixels"
            yield image.warn(record.annotation_path, what, BELIEVED)


def _counts(sample: Sample, classes: ClassTable) -> ClassCounts:
    segments, pixels = np.zeros((2, classes.num_classes), dtype=np.int64)
    for segment in sample.segments:
        segments[segment.class_index] += not segment.is_crowd
        pixels[segment.class_index] += segment.area_px
    num_crowds = sum(segment.is_crowd for segment in sample.segments)
    return ClassCounts(segments=tuple(segments.tolist()), pixels=tuple(pixels.tolist()), num_crowds=num_crowds)
