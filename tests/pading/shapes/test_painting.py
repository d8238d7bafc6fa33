"""Painting: what is covered, by which colours, and how light and grain change it."""

import math

import numpy as np
import pytest

from pading.shapes.classes import shapes_classes
from pading.shapes.painting import Light, Thing, lit, paint_stuff, paint_thing
from pading.shapes.surfaces import HUES, Surface, draw_stuff_surface, draw_thing_surface

NAMES = shapes_classes().names
RED, BLUE = (200.0, 0.0, 0.0), (0.0, 0.0, 200.0)


def surface(name):
    return Surface(class_index=NAMES.index(name), angle=0.0, period_px=8.0, phase_px=(0.0, 0.0), colours=(RED, BLUE))


def thing(name, x=20.0, y=30.0, radius_px=12.0, rotation=0.0):
    return Thing(x=x, y=y, radius_px=radius_px, rotation=rotation, surface=surface(name))


def test_a_plain_disc_covers_its_area_in_its_colour_and_nothing_else():
    image = np.zeros((60, 50, 3), dtype=np.float32)
    box, mask = paint_thing(image, thing("plain disc"))
    assert mask.sum() == pytest.approx(math.pi * (0.95 * 12) ** 2, rel=0.02)
    covered = np.zeros((60, 50), dtype=bool)
    covered[box] = mask
    rows, columns = np.nonzero(covered)
    assert (rows.mean(), columns.mean()) == pytest.approx((30, 20), abs=0.01)
    opacity = image[..., 0] / 200
    assert opacity.sum() == pytest.approx(math.pi * (0.95 * 12) ** 2, rel=0.005)
    assert np.array_equal(opacity > 0.5, covered)


@pytest.mark.parametrize("centre", [(-4.0, 30.0), (52.0, 30.0), (20.0, -3.0), (20.0, 62.0)])
def test_a_thing_at_the_border_is_cut_off(centre):
    image = np.zeros((60, 50, 3), dtype=np.float32)
    box, mask = paint_thing(image, thing("plain square", *centre))
    whole = np.zeros((160, 150, 3), dtype=np.float32)
    paint_thing(whole, thing("plain square", centre[0] + 50, centre[1] + 50))
    assert 0 < mask.sum() < 200
    assert image[box].shape[:2] == mask.shape
    assert np.allclose(image, whole[50:110, 50:100], atol=1e-2)


def test_a_quarter_turn_of_shape_and_pattern_turns_the_picture():
    upright, turned = (np.zeros((61, 61, 3), dtype=np.float32) for _ in range(2))
    paint_thing(upright, thing("plain triangle", 30.0, 30.0))
    paint_thing(turned, thing("plain triangle", 30.0, 30.0, rotation=math.pi / 2))
    assert np.allclose(np.rot90(upright, -1), turned, atol=0.05)


def test_stuff_fills_its_region_only():
    image = np.full((20, 30, 3), 9.0, dtype=np.float32)
    region = np.zeros((20, 30), dtype=bool)
    region[5:15, 3:20] = True
    paint_stuff(image, region, surface("red waves"))
    assert (image[~region] == 9.0).all()
    assert (image[region][:, 0] + image[region][:, 2]) == pytest.approx(200.0, rel=1e-5)
    assert np.ptp(image[region][:, 0]) > 100


def test_light_scales_and_tilts_and_noise_is_reproducible():
    image = np.full((11, 21, 3), 100.0, dtype=np.float32)
    bright = lit(image, Light(brightness=1.0, slope=(0.2, 0.0), noise=0.0), np.random.default_rng(0))
    assert bright[:, 10].mean() == pytest.approx(100, abs=1)
    assert bright[0, -1, 0] - bright[0, 0, 0] == pytest.approx(20, abs=1)
    grain = Light(brightness=1.0, slope=(0.0, 0.0), noise=5.0)
    first, again, other = (lit(image, grain, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.astype(float).std() == pytest.approx(5.0, rel=0.15)


def test_lit_saturates_instead_of_wrapping():
    image = np.full((8, 8, 3), 250.0, dtype=np.float32)
    assert (lit(image, Light(brightness=2.0, slope=(0.0, 0.0), noise=0.0), np.random.default_rng(0)) == 255).all()
    assert (lit(image, Light(brightness=-1.0, slope=(0.0, 0.0), noise=0.0), np.random.default_rng(0)) == 0).all()


def test_the_colours_of_a_thing_do_not_depend_on_its_class():
    draws = [draw_thing_surface(np.random.default_rng(7), index, 8.0).colours for index in range(24)]
    assert len(set(draws)) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name.split()[0] in HUES])
def test_the_strongest_channel_of_stuff_is_its_colour_family(name):
    channel = ("red", "green", "blue").index(name.split()[0])
    random = np.random.default_rng(1)
    drawn = [draw_stuff_surface(random, NAMES.index(name), 8.0).colours for _ in range(50)]
    assert {int(np.argmax(colour)) for colours in drawn for colour in colours} == {channel}
