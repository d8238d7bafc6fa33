"""Scenes: repeatable, labelled pixel by pixel, with crowds, void and occlusion."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from pading.shapes.classes import class_pool, extra_classes, named_class, shapes_classes
from pading.shapes.layout import ShapesConfig, draw_layout, scene_generator
from pading.shapes.painting import paint_thing
from pading.shapes.scene import MIN_VISIBLE_PX, render_scene, render_scene_of

CONFIG = ShapesConfig(num_train=200, num_val=10)


@pytest.fixture(scope="module")
def scenes():
    return [render_scene(CONFIG, "train", index) for index in range(200)]


def same(one, other):
    return (
        np.array_equal(one.image, other.image)
        and np.array_equal(one.label_map, other.label_map)
        and one.segments == other.segments
    )


def test_a_scene_depends_on_its_position_alone(scenes):
    for index in (150, 3, 77):
        assert same(render_scene(CONFIG, "train", index), scenes[index])


def test_another_process_renders_the_same_scene(scenes):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert same(pool.submit(render_scene, CONFIG, "train", 5).result(), scenes[5])


def test_index_split_and_seed_each_change_the_scene(scenes):
    assert not same(scenes[0], scenes[1])
    assert not same(scenes[0], render_scene(CONFIG, "val", 0))
    assert not same(scenes[0], render_scene(ShapesConfig(num_train=200, seed=1), "train", 0))


def test_the_number_of_images_does_not_change_a_scene(scenes):
    assert same(scenes[4], render_scene(ShapesConfig(num_train=5), "train", 4))


def test_every_segment_owns_the_pixels_it_says(scenes):
    for scene in scenes:
        areas = np.bincount(scene.label_map.ravel(), minlength=len(scene.segments) + 1)[1:]
        assert areas.tolist() == [segment.area_px for segment in scene.segments]
        assert areas.min() >= MIN_VISIBLE_PX


def test_segment_ids_are_distinct_and_fit_three_bytes(scenes):
    for scene in scenes:
        ids = [segment.segment_id for segment in scene.segments]
        assert len(set(ids)) == len(ids)
        assert 0 < min(ids) <= max(ids) < 256**3
        assert set(np.unique(scene.id_map)) <= {0, *ids}
        assert ((scene.id_map == ids[0]) == (scene.label_map == 1)).all()


def test_stuff_classes_of_an_image_are_distinct(scenes):
    is_thing = shapes_classes().is_thing
    for scene in scenes:
        stuff = [segment.class_index for segment in scene.segments if not is_thing[segment.class_index]]
        assert len(set(stuff)) == len(stuff)


def test_crowds_are_things_and_at_most_one_an_image(scenes):
    crowds = [[segment for segment in scene.segments if segment.is_crowd] for scene in scenes]
    assert 2 <= sum(map(bool, crowds)) <= 25
    assert max(map(len, crowds)) == 1
    assert all(shapes_classes().is_thing[crowd[0].class_index] for crowd in crowds if crowd)


def test_some_images_have_void_and_some_have_no_things(scenes):
    is_thing = shapes_classes().is_thing
    assert 8 <= sum(bool((scene.label_map == 0).any()) for scene in scenes) <= 50
    assert 1 <= sum(not any(is_thing[s.class_index] for s in scene.segments) for scene in scenes) <= 25


def test_the_thing_in_front_is_whole_and_those_behind_lose_what_it_covers(scenes):
    num_whole = num_covered = 0
    for index, scene in enumerate(scenes):
        layout = draw_layout(CONFIG, "train", scene_generator(CONFIG, "train", index))
        covered = np.zeros(scene.label_map.shape, dtype=bool)
        for thing in reversed(layout.things):
            mask = np.zeros_like(covered)
            box, inside = paint_thing(np.zeros((*mask.shape, 3), dtype=np.float32), thing)
            mask[box] = inside
            visible = mask & ~covered
            if visible.sum() >= MIN_VISIBLE_PX:
                (label,) = np.unique(scene.label_map[visible])
                assert scene.segments[label - 1].area_px == visible.sum()
                assert scene.segments[label - 1].class_index == thing.surface.class_index
                num_whole += visible.sum() == mask.sum()
                num_covered += visible.sum() < mask.sum()
            else:
                assert not scene.label_map[visible].any()
            covered |= mask
    assert num_whole > 200
    assert num_covered > 20


def test_a_plain_thing_has_one_colour_where_its_label_is(scenes):
    names = shapes_classes().names
    num_plain = 0
    for scene in scenes:
        for position, segment in enumerate(scene.segments):
            if names[segment.class_index].startswith("plain") and not segment.is_crowd and segment.area_px > 200:
                pixels = scene.image[scene.label_map == position + 1].astype(float)
                assert pixels.std(axis=0).max() < 32
                num_plain += 1
    assert num_plain > 20


def test_no_scene_of_a_split_shows_a_thing_of_no_split(scenes):
    val = [render_scene(CONFIG, "val", index) for index in range(10)]
    assert max(segment.class_index for scene in scenes + val for segment in scene.segments) < 33


def test_a_scene_of_chosen_classes_shows_them_and_depends_on_its_arguments_alone():
    wanted = [named_class("plain disc"), named_class("striped hexagon")]
    scene = render_scene_of(CONFIG, wanted, "here", 1)
    shown = {segment.class_index for segment in scene.segments}
    assert wanted[1] in shown  # the last one stands in front
    assert shown <= {*wanted, *class_pool(is_thing=False, is_seen=True)}
    assert same(scene, render_scene_of(CONFIG, wanted, "here", 1))
    assert not same(scene, render_scene_of(CONFIG, wanted, "here", 2))
    assert not same(scene, render_scene_of(ShapesConfig(seed=1), wanted, "here", 1))


def test_chosen_stuff_is_all_the_stuff_there_is():
    wanted = [named_class("red planks"), named_class("checked heart")]
    scene = render_scene_of(CONFIG, wanted)
    assert {segment.class_index for segment in scene.segments} == set(wanted)


@pytest.mark.parametrize("index", [-1, 45])
def test_a_number_beyond_the_things_of_no_split_is_refused(index):
    assert extra_classes()[-1] == 44
    with pytest.raises(ValueError, match="the shapes world has 0 to 44"):
        render_scene_of(CONFIG, [index])
