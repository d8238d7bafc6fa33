"""Overlays: of any photo, with a legend that holds what is there."""

import numpy as np
import pytest
from PIL import Image

from pading.classes import ClassTable
from pading.evaluate.inference import PanopticMap
from pading.evaluate.panels import class_colour
from pading.evaluate.results_overlay import LINE_PX, draw_overlay, overlay_size

NUM_CLASSES = 40
CLASSES = ClassTable(
    name="many",
    names=tuple(f"class number {index}" for index in range(NUM_CLASSES)),
    coco_ids=tuple(range(1, NUM_CLASSES + 1)),
    is_thing=(True,) * NUM_CLASSES,
    is_seen=tuple(index > 0 for index in range(NUM_CLASSES)),
)


def stripes(*classes: int, side: int = 96) -> PanopticMap:
    columns = np.arange(side) * len(classes) // side + 1
    return PanopticMap(label_map=np.tile(columns, (side, 1)).astype(np.int32), classes=np.array(classes))


def colours(picture: Image.Image, top: int) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(picture)[top:].reshape(-1, 3).tolist()))


def test_the_legend_names_each_class_once_in_its_colour() -> None:
    photo = Image.new("RGB", (96, 96), (90, 90, 90))
    picture = draw_overlay(photo, stripes(3, 0, 3), CLASSES)
    assert picture.width == 480
    legend = colours(picture, 480)
    assert {class_colour(3), class_colour(0), (0, 0, 0)} <= legend  # black: the frame of an unseen class
    assert class_colour(1) not in legend
    assert (0, 0, 0) not in colours(draw_overlay(photo, stripes(3), CLASSES), 480)


@pytest.mark.parametrize("num_found", [0, 1, 4, 40])
def test_frames_of_a_video_are_of_one_even_size_whatever_is_found(num_found: int) -> None:
    found = (
        stripes(*range(num_found))
        if num_found
        else PanopticMap(label_map=np.zeros((96, 96), np.int32), classes=np.zeros(0, np.int64))
    )
    picture = draw_overlay(Image.new("RGB", (96, 96)), found, CLASSES, legend_lines=2)
    assert picture.size == (480, 480 + 2 * LINE_PX)


def test_a_photo_gets_as_many_lines_as_it_needs() -> None:
    photo = Image.new("RGB", (96, 96))
    few, many = (draw_overlay(photo, stripes(*range(number)), CLASSES).height for number in (2, 40))
    assert few == 480 + LINE_PX
    assert many > 480 + 5 * LINE_PX


@pytest.mark.parametrize(
    ("size", "expected"),
    [((96, 72), (480, 360)), ((641, 427), (640, 428)), ((4000, 3000), (1600, 1200)), ((3000, 1), (1600, 2))],
)
def test_sides_are_even_and_bounded(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert overlay_size(*size) == expected
