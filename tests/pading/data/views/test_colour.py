import numpy as np
import pytest

from pading.data.views.colour import UNCHANGED, ColourChange, draw_colour_change, recolour
from tests.references.data_views import recoloured

COLOURS = np.random.default_rng(0).integers(0, 256, (1, 400, 3), dtype=np.uint8)


def test_no_change_returns_the_image_itself():
    assert recolour(COLOURS, ColourChange()) is COLOURS


def test_brightness_and_contrast_by_hand():
    grey = np.array([[[0, 100, 250]]], dtype=np.uint8)
    assert recolour(grey, ColourChange(brightness=20.0)).tolist() == [[[20, 120, 255]]]
    assert recolour(grey, ColourChange(brightness=-20.0)).tolist() == [[[0, 80, 230]]]
    assert recolour(grey, ColourChange(contrast=1.5)).tolist() == [[[0, 150, 255]]]
    assert recolour(grey, ColourChange(brightness=20.0, contrast=0.5)).tolist() == [[[10, 60, 128]]]  # 255 / 2


def test_saturation_zero_is_grey_and_a_third_of_a_turn_swaps_primaries():
    red = np.array([[[200, 0, 0]]], dtype=np.uint8)
    assert recolour(red, ColourChange(saturation=0.0)).tolist() == [[[200, 200, 200]]]
    red_third = recolour(red, ColourChange(hue_deg=120.0)).astype(int)
    assert np.abs(red_third - [0, 200, 0]).max() <= 5  # 85 of 256 steps is 119.5 degrees


@pytest.mark.parametrize("is_contrast_last", [False, True])
def test_colours_agree_with_the_formula_one_at_a_time(is_contrast_last):
    change = ColourChange(
        brightness=-12.0, contrast=1.2, saturation=1.3, hue_deg=21.0, is_contrast_last=is_contrast_last
    )
    expected = [recoloured(colour, -12.0, 1.2, 1.3, 21.0, is_contrast_last) for colour in COLOURS[0].astype(float)]
    difference = np.abs(recolour(COLOURS, change)[0] - np.array(expected))
    assert difference.mean() < 1
    assert difference.max() <= 10  # a step of hue, 1.4 degrees, is 6 levels of a primary; then contrast and rounding


def test_contrast_first_and_last_differ():
    first, last = (ColourChange(contrast=1.5, saturation=0.5, is_contrast_last=is_last) for is_last in (False, True))
    assert (recolour(COLOURS, first) != recolour(COLOURS, last)).any()


def test_draws_reach_each_change_alone_and_its_bounds():
    never, low, high = 0.5, 0.0, 1 - 1e-12
    assert draw_colour_change([never] * 4 + [high] * 4 + [never]) == UNCHANGED
    assert draw_colour_change([0.0] + [never] * 3 + [low] * 4 + [never]) == ColourChange(brightness=-32.0)
    assert draw_colour_change([never, 0.0, never, never] + [low] * 5) == ColourChange(
        contrast=0.5, is_contrast_last=True
    )
    change = draw_colour_change([0.0] * 4 + [high] * 4 + [never])
    found = (change.brightness, change.contrast, change.saturation, change.hue_deg)
    assert found == pytest.approx((32.0, 1.5, 1.5, 36.0))
