import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pading.classes import ClassTable
from pading.data.errors import DataError, MissingFileError
from pading.evaluate.inference import PanopticMap
from pading.evaluate.panel_files import CELL_WIDTH_PX, PicturedClass, css_colour, read_panels, write_panels
from pading.evaluate.panels import PanelRow

CLASSES = ClassTable(
    name="three",
    names=("disc", "star", "sea"),
    coco_ids=(1, 2, 3),
    is_thing=(True, True, False),
    is_seen=(True, False, True),
)


def row(*present: int) -> PanelRow:
    label_map = np.zeros((30, 40), dtype=np.int32)
    for at in range(len(present)):
        label_map[:, 10 * at : 10 * at + 10] = at + 1
    partition = PanopticMap(label_map=label_map, classes=np.array(present))
    return PanelRow(photo=np.full((30, 40, 3), 90, np.uint8), ground_truth=partition, predictions=(partition,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_panels(tmp_path / "panels", {7: row(2, 1, 1), 3: row(0)}, ["pading"], CLASSES)
    return tmp_path / "panels"


def test_pictures_come_back_in_order_with_the_classes_of_the_truth(folder: Path) -> None:
    panels = read_panels(folder)
    assert panels is not None
    assert panels.headings == ("photo", "ground truth", "pading")
    first, second = panels.images
    assert (first.image_id, second.image_id) == (7, 3)
    assert first.classes == (
        PicturedClass(name="star", colour=css_colour(1), is_seen=False),
        PicturedClass(name="sea", colour=css_colour(2), is_seen=True),
    )
    for cell in (*first.cells, *second.cells):
        with Image.open(io.BytesIO(cell)) as image:
            assert (image.format, image.size) == ("WEBP", (CELL_WIDTH_PX, CELL_WIDTH_PX * 3 // 4))
    photo = np.asarray(Image.open(io.BytesIO(first.cells[0])))
    assert abs(photo.astype(int) - 90).max() <= 4


def test_no_folder_is_no_panels(tmp_path: Path) -> None:
    assert read_panels(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"headings": "photo"}, "'headings' is 'photo', expected list"),
        ({"headings": ["photo", 3]}, "a heading is no text"),
        ({"classes": [{}]}, "'name' is missing"),
        ({"images": 4}, "a list of objects is missing"),
        ({"images": [{"image_id": "../x", "classes": []}]}, "'image_id' is '../x', expected int"),
        ({"images": [{"image_id": 7, "classes": [3]}]}, "image 7 has a class that is none of 3"),
        ({"images": [{"image_id": 7, "classes": [True]}]}, "image 7 has a class that is none of 3"),
    ],
)
def test_a_damaged_index_is_refused(folder: Path, change: dict[str, Any], message: str) -> None:
    index = folder / "panels.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        read_panels(folder)


def test_an_index_that_is_no_object_is_refused(folder: Path) -> None:
    (folder / "panels.json").write_text("[]")
    with pytest.raises(DataError, match="expected an object, found list"):
        read_panels(folder)


def test_a_picture_that_is_gone_or_none_is_named(folder: Path) -> None:
    (folder / "7-1.webp").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"7-1\.webp: is not a WebP picture"):
        read_panels(folder)
    (folder / "7-1.webp").unlink()
    with pytest.raises(MissingFileError, match=r"7-1\.webp: no such picture"):
        read_panels(folder)


def test_rows_that_cannot_be_drawn_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        write_panels(tmp_path, {}, [], CLASSES)
    with pytest.raises(ValueError, match="row 0 has 1 predictions for 0 methods"):
        write_panels(tmp_path, {7: row(0)}, [], CLASSES)
