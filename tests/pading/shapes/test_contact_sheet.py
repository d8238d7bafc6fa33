"""The contact sheet shows what it is given."""

import numpy as np

from pading.shapes.contact_sheet import UNSEEN_FRAME, contact_sheet
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene


def test_scenes_appear_enlarged_and_pixel_by_pixel():
    config = ShapesConfig(num_train=2, size_jitter=0.0)
    sheet = np.asarray(contact_sheet(config, "train", [0, 1], columns=2))
    expected = render_scene(config, "train", 1).image.repeat(2, axis=0).repeat(2, axis=1)
    height, width = expected.shape[:2]
    left, top = width + 8, sheet.shape[0] - 2 * (height + 8)
    assert np.array_equal(sheet[top : top + height, left : left + width], expected)


def test_labels_frame_unseen_segments_in_red_and_only_those():
    clean, mixed = ShapesConfig(train_unseen_rate=0.0), ShapesConfig(train_unseen_rate=1.0)
    for config, expected in ((clean, False), (mixed, True)):
        sheet = np.asarray(contact_sheet(config, "train", range(6), columns=6))
        labels = sheet[-240:]
        assert bool((labels == UNSEEN_FRAME).all(axis=-1).any()) is expected
