"""COCO instances: a JSON of objects, each with its own mask; masks may overlap.

The file is COCO's own or the one that ZSI released for a split. Axes: H W pixels.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pading.classes import ClassTable
from pading.data.coco.entries import read_entries
from pading.data.coco.fields import entries, flag, integer, number, shown
from pading.data.coco.layers import paint_layers
from pading.data.coco.layout import InstanceLayout
from pading.data.coco.masks import MAX_COORDINATE, Runs, Shape, read_shape, run_lengths
from pading.data.coco.record import ImageRecord, LoadedImage, check_size, read_listed
from pading.data.coco.tables import ImageEntry, image_entry, new_id, wrong_categories
from pading.data.errors import DataError
from pading.data.images import MAX_PIXELS, open_photo
from pading.data.jpeg import decode_jpeg
from pading.data.sample import Sample, Segment

LAYER_PIXELS = 2  # all layers together may have this many times the pixels that a photo may have


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRecord:
    """One annotation of a class of the split."""

    annotation_id: int
    coco_id: int
    is_crowd: bool
    area_px: float  # as listed: of the outline, not of the pixels
    shape: Shape


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceRecord(ImageRecord):
    """What an instance annotation file says about one image; objects of other classes than the split's are absent."""

    height: int
    width: int
    objects: tuple[ObjectRecord, ...]


@dataclass(kw_only=True, slots=True)
class _Contents:
    """What a file holds, by image id, while it is read."""

    images: dict[int, ImageEntry | None] = field(default_factory=dict)  # None: the entry is wrong, not missing
    objects: dict[int, list[ObjectRecord]] = field(default_factory=dict)
    annotation_ids: set[int] = field(default_factory=set)
    other_classes: dict[int, list[int]] = field(default_factory=dict)  # category id not in the table -> image ids
    categories: list[dict[str, Any]] = field(default_factory=list)
    damaged: set[int] = field(default_factory=set)  # images with a wrong annotation
    wrong: list[DataError] = field(default_factory=list)


def scan_instances(layout: InstanceLayout, classes: ClassTable) -> Iterator[InstanceRecord | DataError]:
    """Yield one error for each thing that is wrong and one record for each sound image, in the order of the file.

    Raises:
        ValueError: if the file is no JSON object or lacks a key, or is ZSI's and of other classes than the table.
    """
    file = layout.annotations
    contents = _read(layout, classes)
    if layout.is_zsi:
        _check_order(contents.categories, classes, file)
    yield from wrong_categories(contents.categories, classes, has_stuff=False, file=file)
    yield from contents.wrong
    listed = {category["id"] for category in contents.categories if isinstance(category.get("id"), int)}
    for coco_id, image_ids in contents.other_classes.items():
        if coco_id not in listed:
            contents.damaged.update(image_ids)
            what = f"{len(image_ids)} annotations, the first of image id {image_ids[0]}, have category id {coco_id}"
            yield DataError(str(file), f"{what}, which 'categories' lacks", "list the category or remove them")
    for image_id in (image_id for image_id in contents.objects if image_id not in contents.images):
        what = f"an annotation is of image id {image_id}, which is not listed"
        yield DataError(str(file), what, "list the image")
    for image_id, image in contents.images.items():
        if image is None or image_id in contents.damaged:
            continue
        objects = contents.objects.get(image_id, ())
        if (error := _wrong_size(objects, image, image_id, file)) is not None:
            yield error
            continue
        yield InstanceRecord(
            image_id=image_id,
            file_name=image.file_name,
            image_path=image.path,
            annotation_path=file,
            height=image.height,
            width=image.width,
            objects=tuple(objects),
        )


def load_instances(record: InstanceRecord, classes: ClassTable, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Return the JPEG as found and the image decoded; areas are counted, and objects without a pixel left out.

    Raises:
        FileNotFoundError: if the photo is missing.
        ValueError: if it is damaged or larger than `max_pixels`, has another size than listed, or more objects or
            overlaps than layers can hold.
    """
    photo_file, source = str(record.image_path), record.annotation_path
    jpeg = read_listed(record.image_path, record)
    photo = open_photo(io.BytesIO(jpeg), photo_file, max_pixels)
    check_size(photo.size, photo_file, (record.width, record.height), source)
    counts = run_lengths([annotated.shape for annotated in record.objects], record.height, record.width)
    try:
        label_maps, areas = paint_layers(counts, record.height, record.width, LAYER_PIXELS * max_pixels)
    except ValueError as error:
        remedy = "split the image, or remove annotations that repeat another"
        raise DataError(str(source), f"image id {record.image_id}: {error}", remedy) from error
    segments = tuple(
        Segment(
            segment_id=annotated.annotation_id,
            class_index=classes.index(annotated.coco_id),
            is_crowd=annotated.is_crowd,
            area_px=int(area_px),
        )
        for annotated, area_px in zip(record.objects, areas, strict=True)
        if area_px
    )
    sample = Sample(
        image_id=record.image_id,
        file_name=record.file_name,
        image=decode_jpeg(jpeg, photo_file, (photo.height, photo.width)),
        label_maps=label_maps,
        segments=segments,
    )
    return LoadedImage(jpeg=jpeg, sample=sample, hidden_px=0)


def _read(layout: InstanceLayout, classes: ClassTable) -> _Contents:
    file, contents = layout.annotations, _Contents()
    of_the_split = frozenset(classes.coco_ids)
    for key, entry in read_entries(file, ("images", "annotations", "categories")):
        try:
            if key == "images":
                image_id = new_id(entry, "id", key, contents.images, file)
                contents.images[image_id] = None
                contents.images[image_id] = image_entry(entry, image_id, layout.images, file)
            elif key == "annotations":
                _add_annotation(contents, entry, of_the_split, file)
            else:
                contents.categories.append(entry)
        except DataError as error:
            contents.wrong.append(error)
    return contents


def _add_annotation(contents: _Contents, entry: dict[str, Any], of_the_split: frozenset[int], file: Path) -> None:
    image_id = integer(entry, "image_id", "an entry of 'annotations'", file)
    objects = contents.objects.setdefault(image_id, [])
    try:
        annotation_id = new_id(entry, "id", "annotations", contents.annotation_ids, file)
        contents.annotation_ids.add(annotation_id)
        where = f"image id {image_id}: annotation {annotation_id}"
        coco_id = integer(entry, "category_id", where, file)
        if coco_id in of_the_split:
            objects.append(_object(entry, annotation_id, coco_id, where, file))
        else:
            contents.other_classes.setdefault(coco_id, []).append(image_id)
    except DataError:
        contents.damaged.add(image_id)
        raise


def _object(entry: dict[str, Any], annotation_id: int, coco_id: int, where: str, file: Path) -> ObjectRecord:
    box = entries(entry, "bbox", where, file)
    # Each comparison is false for NaN.
    if len(box) != 4 or not all(type(side) in (int, float) and abs(side) <= MAX_COORDINATE for side in box):
        raise DataError(str(file), f"{where}: 'bbox' is {shown(box)}", "give [x, y, width, height] in pixels")
    area_px = number(entry, "area", where, file)
    for name, value in (("width", box[2]), ("height", box[3]), ("area", area_px)):
        if value < 0:
            raise DataError(str(file), f"{where}: {name} {value}", "nothing is smaller than 0")
    return ObjectRecord(
        annotation_id=annotation_id,
        coco_id=coco_id,
        is_crowd=flag(entry, "iscrowd", where, file),
        area_px=area_px,
        shape=read_shape(entry.get("segmentation"), where, file),
    )


def _wrong_size(objects: Iterable[ObjectRecord], image: ImageEntry, image_id: int, file: Path) -> DataError | None:
    for annotated in objects:
        shape = annotated.shape
        if isinstance(shape, Runs) and (shape.height, shape.width) != (image.height, image.width):
            what = f"image id {image_id}: annotation {annotated.annotation_id} has run lengths of"
            what += f" {shape.height} x {shape.width} pixels, but the image has {image.height} x {image.width}"
            return DataError(str(file), what, "take image and annotation from one release")
    return None


def _check_order(categories: Sequence[dict[str, Any]], classes: ClassTable, file: Path) -> None:
    """Accept the classes of a split in its order, all or the seen ones, which come first."""
    found = [category.get("id") for category in categories]
    expected = list(classes.coco_ids)
    if found in (expected, expected[: len(classes.seen)]):
        return
    place = next(
        (i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), min(len(found), len(expected))
    )
    seen, due = (shown(ids[place]) if place < len(ids) else "none" for ids in (found, expected))
    what = f"category {place} is COCO id {seen}, but {due} in class table {classes.name!r}"
    raise DataError(str(file), what, "take the file of this split, or remove it: COCO's own file is used then")
