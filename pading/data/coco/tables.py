"""What the JSON files of panoptic and instance data share: the entries of `images` and of `categories`."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pading.classes import ClassTable
from pading.data.coco.fields import image_size, integer, shown, text
from pading.data.coco.layout import path_inside
from pading.data.errors import DataError, OtherClassesError

OTHER_TABLE = "use the class table of this data set"
OWN_ID = {"images": "image id", "annotations": "annotation id", "categories": "category id"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageEntry:
    """An entry of `images`."""

    file_name: str
    path: Path
    height: int
    width: int


def image_entry(entry: dict[str, Any], image_id: int, folder: Path, file: Path) -> ImageEntry:
    """Return what an entry of `images` says of a photo in `folder`.

    Raises:
        ValueError: if a field is missing or impossible, or the file name leads out of the folder.
    """
    where = f"image id {image_id}"
    file_name = text(entry, "file_name", where, file)
    height, width = image_size(entry, where, file)
    return ImageEntry(file_name=file_name, path=path_inside(folder, file_name, file), height=height, width=width)


def new_id(entry: dict[str, Any], key: str, name: str, taken: Container[int], file: Path) -> int:
    """Return the id that an entry of the list `name` has under `key`.

    Raises:
        ValueError: if it has none, or one that is taken.
    """
    value = integer(entry, key, f"an entry of {name!r}", file)
    if value in taken:
        of_what = OWN_ID[name] if key == "id" else "image id"
        raise DataError(str(file), f"{of_what} {value} occurs twice in {name!r}", "keep one")
    return value


def wrong_categories(
    categories: Iterable[dict[str, Any]], classes: ClassTable, has_stuff: bool, file: Path
) -> Iterator[DataError]:
    """Yield an error for each category that a class table describes otherwise; in files of things none is a thing."""
    described: dict[int, dict[str, Any]] = {}
    for category in categories:
        try:
            described[new_id(category, "id", "categories", described, file)] = category
        except DataError as error:
            yield error
    for coco_id, name, is_thing in zip(classes.coco_ids, classes.names, classes.is_thing, strict=True):
        if coco_id not in described:
            continue
        found_name, found_thing = described[coco_id].get("name"), bool(described[coco_id].get("isthing"))
        if found_name == name and (found_thing == is_thing or not has_stuff):
            continue
        found, expected = shown(found_name), shown(name)
        if has_stuff:
            found += f", {'a thing' if found_thing else 'stuff'}"
            expected += f", {'a thing' if is_thing else 'stuff'}"
        what = f"category id {coco_id} is {found}, but {expected} in class table {classes.name!r}"
        yield OtherClassesError(str(file), what, OTHER_TABLE)
