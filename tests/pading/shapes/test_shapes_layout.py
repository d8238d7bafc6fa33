"""Layouts: what a configuration accepts, and that scenes follow it."""

import hashlib

import numpy as np
import pytest

from pading.shapes.classes import shapes_classes
from pading.shapes.layout import ShapesConfig, draw_layout, draw_layout_of, scene_generator

SEEN = shapes_classes().is_seen


def layouts(config, split, count):
    return [draw_layout(config, split, scene_generator(config, split, index)) for index in range(count)]


def classes_of(layout):
    return [place.surface.class_index for place in (*layout.stuff, *layout.crowd, *layout.things)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_px", 31),
        ("size_jitter", 0.5),
        ("size_jitter", -0.1),
        ("max_things", 0),
        ("num_train", 0),
        ("num_train", 1_000_001),
        ("num_val", 0),
        ("train_unseen_rate", 1.1),
    ],
)
def test_a_bad_field_is_named(field, value):
    with pytest.raises(ValueError, match=rf"{field} is {value}"):
        ShapesConfig(**{field: value})


def test_an_unknown_split_is_rejected():
    with pytest.raises(ValueError, match="split 'test' is none of"):
        ShapesConfig().num_images("test")


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_the_split_is_rejected(index):
    with pytest.raises(ValueError, match=f"index {index} is outside the 3 images of split 'val'"):
        scene_generator(ShapesConfig(num_val=3), "val", index)


@pytest.mark.parametrize("rate", [0.0, 0.38, 1.0])
def test_unseen_classes_stand_in_the_wanted_share_of_train_images(rate):
    config = ShapesConfig(train_unseen_rate=rate)
    has_unseen = [not all(SEEN[index] for index in classes_of(layout)) for layout in layouts(config, "train", 600)]
    # Four standard deviations of a share of 600; none at all at the ends.
    assert np.mean(has_unseen) == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 600))


def test_val_shows_things_alike_whether_seen_or_not():
    counts = np.zeros(33)
    for layout in layouts(ShapesConfig(num_val=800), "val", 800):
        np.add.at(counts, [thing.surface.class_index for thing in layout.things], 1)
    assert counts[:24].min() > 0.6 * counts[:24].mean()
    assert counts[:24].max() < 1.4 * counts[:24].mean()


def test_sizes_stay_within_the_jitter_and_counts_within_their_bounds():
    found = layouts(ShapesConfig(max_things=3), "train", 300)
    assert {len(layout.things) for layout in found} == {0, 1, 2, 3}
    assert {len(layout.stuff) for layout in found} == {2, 3}
    sides = {side for layout in found for side in (layout.height, layout.width)}
    assert min(sides) >= 72
    assert max(sides) <= 120
    assert len(sides) > 30


def test_a_crowd_is_many_small_things_of_one_class():
    crowds = [layout.crowd for layout in layouts(ShapesConfig(), "train", 300) if layout.crowd]
    assert crowds
    assert all(len({thing.surface.class_index for thing in crowd}) == 1 and len(crowd) == 12 for crowd in crowds)


def test_a_smaller_world_shows_the_same_scene_at_a_lower_resolution():
    large, small = ShapesConfig(image_px=96, size_jitter=0.0), ShapesConfig(image_px=48, size_jitter=0.0)
    for index in range(20):
        one, other = (draw_layout(c, "train", scene_generator(c, "train", index)) for c in (large, small))
        assert classes_of(one) == classes_of(other)
        for thing, half in zip(one.things, other.things, strict=True):
            assert (half.x, half.y, half.radius_px) == pytest.approx((thing.x / 2, thing.y / 2, thing.radius_px / 2))


def test_the_scenes_of_a_seed_are_those_that_they_always_were():
    """The digest is of the code before things of no split could be drawn; every finished run relies on it."""
    drawn = hashlib.sha256()
    for seed in (0, 3):
        config = ShapesConfig(seed=seed)
        for split, count in (("train", 100), ("val", 50)):
            for layout in layouts(config, split, count):
                drawn.update(repr(layout).encode())
    assert drawn.hexdigest().startswith("c5ac08eb5d1a6328")


def test_a_layout_of_chosen_classes_has_each_of_them_once_in_order():
    random = np.random.default_rng(0)
    layout = draw_layout_of(ShapesConfig(), [25], [34, 3, 34], random)
    assert classes_of(layout) == [25, 34, 3, 34]


def test_things_need_something_to_stand_on():
    with pytest.raises(ValueError, match="2 things and no stuff"):
        draw_layout_of(ShapesConfig(), [], [1, 2], np.random.default_rng(0))
