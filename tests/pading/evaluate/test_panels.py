import numpy as np
import pytest
from PIL import Image

from pading.classes import ClassTable
from pading.evaluate.inference import PanopticMap
from pading.evaluate.panels import PanelRow, class_colour, draw_map, draw_panel

CLASSES = ClassTable(
    name="three",
    names=("disc", "star", "sea"),
    coco_ids=(1, 2, 3),
    is_thing=(True, True, False),
    is_seen=(True, False, True),
)
PHOTO = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def halves(left: int, right: int) -> PanopticMap:
    label_map = np.ones((60, 80), dtype=np.int32)
    label_map[:, 40:] = 2
    return PanopticMap(label_map=label_map, classes=np.array([left, right]))


def test_a_panel_has_a_cell_for_the_photo_the_truth_and_each_method():
    row = PanelRow(photo=PHOTO, ground_truth=halves(0, 2), predictions=(halves(0, 2), halves(1, 2)))
    one = draw_panel([row], ["a", "b"], CLASSES, cell_width_px=160)
    two = draw_panel([row, row], ["a", "b"], CLASSES, cell_width_px=160)
    assert one.width == two.width > 4 * 160
    assert two.height - one.height >= 120
    photo = np.asarray(Image.fromarray(PHOTO).resize((160, 120), Image.Resampling.LANCZOS))
    cells = np.asarray(one)
    found = [
        (top, left)
        for top in range(one.height - 120)
        for left in range(one.width - 160)
        if (cells[top, left] == photo[0, 0]).all() and (cells[top : top + 120, left : left + 160] == photo).all()
    ]
    assert len(found) == 1


def test_only_unseen_segments_are_outlined_in_white():
    photo = Image.fromarray(np.full((60, 80, 3), 128, np.uint8))
    seen = np.asarray(draw_map(photo, halves(0, 2), CLASSES))
    unseen = np.asarray(draw_map(photo, halves(1, 2), CLASSES))
    outline = unseen[2:12, 36:40]  # above the name, beside the border between the halves
    assert (outline == 255).all(axis=-1).any()
    assert not (seen[2:12] == 255).all(axis=-1).any()
    assert not (unseen[2:12, 44:] == 255).all(axis=-1).any()


def test_void_shows_a_dark_grey_photo():
    void = PanopticMap(label_map=np.zeros((60, 80), np.int32), classes=np.zeros(0, np.int64))
    cell = np.asarray(draw_map(Image.fromarray(PHOTO), void, CLASSES)).astype(int)
    assert (cell.max(axis=-1) == cell.min(axis=-1)).all()
    assert cell.max() <= 0.36 * 255


def test_drawing_is_deterministic_and_classes_have_distinct_colours():
    row = PanelRow(photo=PHOTO, ground_truth=halves(0, 1), predictions=())
    assert draw_panel([row], [], CLASSES).tobytes() == draw_panel([row], [], CLASSES).tobytes()
    assert len({class_colour(index) for index in range(171)}) == 171


def test_incomplete_panels_are_refused():
    with pytest.raises(ValueError, match="at least one image"):
        draw_panel([], [], CLASSES)
    with pytest.raises(ValueError, match="row 0 has 0 predictions for 1 methods"):
        draw_panel([PanelRow(photo=PHOTO, ground_truth=halves(0, 1), predictions=())], ["a"], CLASSES)
