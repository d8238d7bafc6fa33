"""The pictures of a panel, one small file each, and an index of what is on them: `panels/` of an evaluation."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pading.classes import ClassTable
from pading.data.errors import DataError, MissingFileError
from pading.evaluate.board.json_fields import REMEDY, field, objects, read_json
from pading.evaluate.panels import HEADINGS, PanelRow, class_colour, draw_cells, require_complete

INDEX = "panels.json"
CELL_WIDTH_PX, FONT_PX, QUALITY = 360, 17, 82  # pages show them at about two thirds


@dataclass(frozen=True, kw_only=True)
class PicturedClass:
    """A class on a picture."""

    name: str
    colour: str  # of CSS
    is_seen: bool


@dataclass(frozen=True, kw_only=True)
class PicturedImage:
    """One photo with all that was made of it: WebP files in the order of the headings, and the classes of its truth."""

    image_id: int
    cells: tuple[bytes, ...]
    classes: tuple[PicturedClass, ...]


@dataclass(frozen=True, kw_only=True)
class Panels:
    """All pictures of an evaluation."""

    headings: tuple[str, ...]
    images: tuple[PicturedImage, ...]


def write_panels(folder: Path, rows: Mapping[int, PanelRow], methods: Sequence[str], classes: ClassTable) -> None:
    """Write the pictures of images, by image id, into a folder.

    Raises:
        ValueError: as `draw_panel` does.
    """
    require_complete(list(rows.values()), methods)
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for image_id, row in rows.items():
        for column, cell in enumerate(draw_cells(row, classes, CELL_WIDTH_PX, FONT_PX)):
            cell.save(folder / _name(image_id, column), quality=QUALITY)
        images.append({"image_id": image_id, "classes": [int(index) for index in np.unique(row.ground_truth.classes)]})
    shown = [
        {"name": name, "colour": css_colour(index), "is_seen": is_seen}
        for index, (name, is_seen) in enumerate(zip(classes.names, classes.is_seen, strict=True))
    ]
    index = {"headings": [*HEADINGS, *methods], "classes": shown, "images": images}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def read_panels(folder: Path) -> Panels | None:
    """Read what `write_panels` wrote; None if there is no such folder.

    Raises:
        MissingFileError: if the index names a picture that is not there.
        DataError: if the index is damaged, or a picture is no WebP file.
    """
    path = folder / INDEX
    found = read_json(path)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise DataError(str(path), f"expected an object, found {type(found).__name__}", REMEDY)
    headings = field(path, "the index", found, "headings", list)
    if not all(type(heading) is str for heading in headings):
        raise DataError(str(path), "a heading is no text", REMEDY)
    classes = [
        PicturedClass(
            name=field(path, "a class", one, "name", str),
            colour=field(path, "a class", one, "colour", str),
            is_seen=field(path, "a class", one, "is_seen", bool),
        )
        for one in objects(path, found.get("classes"))
    ]
    images = []
    for entry in objects(path, found.get("images")):
        image_id, present = (field(path, "an image", entry, *asked) for asked in (("image_id", int), ("classes", list)))
        if not all(type(index) is int and 0 <= index < len(classes) for index in present):
            raise DataError(str(path), f"image {image_id} has a class that is none of {len(classes)}", REMEDY)
        cells = tuple(_picture(folder / _name(image_id, column)) for column in range(len(headings)))
        images.append(PicturedImage(image_id=image_id, cells=cells, classes=tuple(classes[index] for index in present)))
    return Panels(headings=tuple(headings), images=tuple(images))


def css_colour(index: int) -> str:
    """Return the colour of a class as CSS writes it."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(index))


def _name(image_id: int, column: int) -> str:
    return f"{image_id}-{column}.webp"


def _picture(path: Path) -> bytes:
    if not path.is_file():
        raise MissingFileError(str(path), "no such picture", REMEDY)
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content), formats=["WEBP"]) as image:
            image.verify()
    except (OSError, SyntaxError) as error:  # Pillow raises either for a file that is none
        raise DataError(str(path), f"is not a WebP picture ({error})", REMEDY) from error
    return content
