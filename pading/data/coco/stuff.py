"""COCO-Stuff: an 8-bit PNG whose values are classes, in one of the three codings that are in use, and no JSON at all.

Axes: H W pixels, M classes present in an image.
"""

import io
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pading.classes import ClassTable
from pading.data.coco.layout import STUFF_FOLDERS, StuffCodingName, StuffLayout
from pading.data.coco.record import ImageRecord, LoadedImage, check_size, read_listed
from pading.data.errors import DataError, MissingFileError
from pading.data.images import MAX_PIXELS, decode_class_values, open_label_image, open_photo
from pading.data.jpeg import decode_jpeg
from pading.data.sample import Sample, Segment
from pading.splits.coco_classes import coco_stuff_156_15

VOID_VALUE = 255
VOID, ABSENT = -1, -2
PHOTO_ENDING, LABEL_ENDING = ".jpg", ".png"
IMAGE_ID = re.compile("[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True, slots=True)
class StuffCoding:
    """What the values of a label map mean: `classes[value]` is a class index, VOID or ABSENT."""

    name: StuffCodingName
    classes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StuffRecord(ImageRecord):
    """One photo and the label map of the same name."""

    label_path: Path
    coding: StuffCoding


def stuff_coding(name: StuffCodingName, classes: ClassTable) -> StuffCoding:
    """Return a coding for a class table: the value of each class by its COCO id, 255 = void.

    coco-id-less-one: the maps as COCO-Stuff ships them. train-id: position among the 156 seen, then the 15 unseen
    classes of COCO-Stuff 156/15, each ascending. contiguous: position among all 171 classes, ascending.

    Raises:
        ValueError: if the coding is one of COCO-Stuff's 171 classes and the table is not of these.
    """
    published = coco_stuff_156_15().coco_ids
    if name == "coco-id-less-one":
        value_of = {coco_id: coco_id - 1 for coco_id in classes.coco_ids}
    else:
        ordered = published if name == "train-id" else sorted(published)
        value_of = {coco_id: value for value, coco_id in enumerate(ordered)}
    class_of_value = [ABSENT] * VOID_VALUE + [VOID]
    for index, coco_id in enumerate(classes.coco_ids):
        value = value_of.get(coco_id, VOID_VALUE)
        if not 0 <= value < VOID_VALUE:
            what = f"COCO id {coco_id} of class table {classes.name!r} has no value in label maps of coding {name!r}"
            raise ValueError(f"{what}; use a table of COCO-Stuff, or maps with COCO id - 1")
        class_of_value[value] = index
    return StuffCoding(name=name, classes=tuple(class_of_value))


def scan_stuff(layout: StuffLayout, classes: ClassTable) -> Iterator[StuffRecord | DataError]:
    """Yield a record for each photo and its label map, ascending, and an error for each that lacks the other.

    Only the two folders are listed.

    Raises:
        FileNotFoundError: if there is no label map at all.
        ValueError: if the class table does not fit the coding of the label maps.
    """
    try:
        coding = stuff_coding(layout.coding, classes)
    except ValueError as error:
        raise DataError(str(layout.labels), *str(error).split("; ", 1)) from error
    photos, labels = _files(layout.images, PHOTO_ENDING), _files(layout.labels, LABEL_ENDING)
    if not labels:
        raise MissingFileError(str(layout.labels), "holds no PNG", "unpack the label maps there")
    previous = -1
    for stem in sorted(photos.keys() | labels.keys(), key=_place):
        if not IMAGE_ID.fullmatch(stem):
            folder, name = (layout.labels, labels[stem]) if stem in labels else (layout.images, photos[stem])
            yield DataError(
                str(folder), f"file name {name!r} is no image id", "name the file by a number, or remove it"
            )
        elif stem not in labels:
            what = f"has no label map of that name in {layout.labels}"
            yield DataError(str(layout.images / photos[stem]), what, "add it or remove the photo")
        elif stem not in photos:
            what = f"has no photo of that name in {layout.images}"
            yield DataError(str(layout.labels / labels[stem]), what, "add it or remove the label map")
        elif int(stem) == previous:
            what = f"image id {previous} occurs twice, the second time as {photos[stem]!r}"
            yield DataError(str(layout.images), what, "keep one photo and its label map")
        else:
            previous = int(stem)
            label_path = layout.labels / labels[stem]
            yield StuffRecord(
                image_id=previous,
                file_name=photos[stem],
                image_path=layout.images / photos[stem],
                annotation_path=label_path,
                label_path=label_path,
                coding=coding,
            )


def load_stuff(
    record: StuffRecord, classes: ClassTable, hidden: Collection[int], max_pixels: int = MAX_PIXELS
) -> LoadedImage:
    """Return the JPEG as found and the image decoded, one segment for each class present; `hidden` classes are void.

    Raises:
        FileNotFoundError: if the photo or the label map is missing.
        ValueError: if one is damaged or larger than `max_pixels`, their sizes differ, or a value has no class.
    """
    photo_file, label_file = str(record.image_path), str(record.label_path)
    jpeg = read_listed(record.image_path, record)
    photo = open_photo(io.BytesIO(jpeg), photo_file, max_pixels)
    label_image = open_label_image(io.BytesIO(read_listed(record.label_path, record)), label_file, max_pixels)
    check_size(label_image.size, label_file, photo.size, record.image_path)
    values = decode_class_values(label_image, label_file)
    pixels_of_value = np.bincount(values.ravel(), minlength=VOID_VALUE + 1)
    class_of_value = np.array(record.coding.classes, dtype=np.int16)
    if (strange := np.flatnonzero((class_of_value == ABSENT) & (pixels_of_value > 0))).size:
        raise _no_class(record, int(strange[0]), int(pixels_of_value[strange[0]]))
    is_hidden = np.isin(class_of_value, list(hidden))
    shown = np.flatnonzero((class_of_value >= 0) & ~is_hidden & (pixels_of_value > 0))
    shown = shown[np.argsort(class_of_value[shown])]  # values of the classes present, in the order of the classes
    label_of_value = np.zeros(VOID_VALUE + 1, dtype=np.uint16)
    label_of_value[shown] = np.arange(1, len(shown) + 1)
    segments = tuple(
        Segment(
            segment_id=classes.coco_ids[class_of_value[value]],
            class_index=int(class_of_value[value]),
            is_crowd=False,
            area_px=int(pixels_of_value[value]),
        )
        for value in shown
    )
    sample = Sample(
        image_id=record.image_id,
        file_name=record.file_name,
        image=decode_jpeg(jpeg, photo_file, (photo.height, photo.width)),
        label_maps=label_of_value[values][None],
        segments=segments,
    )
    return LoadedImage(jpeg=jpeg, sample=sample, hidden_px=int(pixels_of_value[is_hidden].sum()))


def _files(folder: Path, ending: str) -> dict[str, str]:
    """Return stem -> name of the files with an ending; nothing is opened."""
    with os.scandir(folder) as found:
        return {
            entry.name.removesuffix(ending): entry.name
            for entry in found
            if entry.name.endswith(ending) and not entry.name.startswith(".")
        }


def _place(stem: str) -> tuple[int, str]:
    return (int(stem) if IMAGE_ID.fullmatch(stem) else -1), stem


def _no_class(record: StuffRecord, value: int, num_pixels: int) -> DataError:
    if record.coding.name != "coco-id-less-one":
        remedy = f"maps of COCO id - 1 belong in {STUFF_FOLDERS[0][0].format('...')}"
    elif value in (182, 183):
        remedy = "COCO-Stuff 10k and the pixel maps of stuff_*.json hold COCO ids: take stuffthingmaps_trainval2017.zip"
    else:
        remedy = "values must be COCO id - 1; maps of train ids or contiguous ids belong in folders of their own"
    what = f"{num_pixels} pixels have value {value}, which no class has in coding {record.coding.name!r}"
    return DataError(str(record.label_path), what, remedy)
