"""The classes of the shapes world: their ids, their split, and what makes transfer possible at all."""

import hashlib
from collections import Counter

import pytest

from pading.shapes.classes import (
    EXTRA_SHAPES,
    PATTERNS,
    SHAPES,
    UNSEEN_STUFF,
    UNSEEN_THINGS,
    class_parts,
    class_pool,
    extra_classes,
    named_class,
    shapes_classes,
    shapes_thing_classes,
    world_names,
)

TABLE = shapes_classes()


def test_things_come_first_with_ids_from_1_and_stuff_with_ids_from_101():
    assert TABLE.coco_ids == (*range(1, 25), *range(101, 110))
    assert TABLE.is_thing == (True,) * 24 + (False,) * 9
    assert TABLE.index(1) == TABLE.names.index("plain disc")
    assert TABLE.index(101) == TABLE.names.index("blue waves")


def test_names_are_distinct_pairs_of_words():
    assert len(set(TABLE.names)) == 33
    assert [" ".join(class_parts(index)) for index in range(33)] == list(TABLE.names)


def test_the_unseen_classes_are_the_named_five_things_and_two_stuff():
    assert {TABLE.names[index] for index in TABLE.unseen} == {*UNSEEN_THINGS, *UNSEEN_STUFF}
    assert len(TABLE.unseen) == 7


def test_every_word_of_an_unseen_name_occurs_in_two_seen_names():
    seen_words = Counter(word for index in TABLE.seen for word in TABLE.names[index].split())
    assert all(seen_words[word] >= 2 for index in TABLE.unseen for word in TABLE.names[index].split())


def test_every_shape_keeps_three_seen_patterns_and_every_pattern_four_seen_shapes():
    seen_things = [class_parts(index) for index in class_pool(is_thing=True, is_seen=True)]
    assert min(Counter(shape for _, shape in seen_things)[shape] for shape in SHAPES) >= 3
    assert min(Counter(pattern for pattern, _ in seen_things)[pattern] for pattern in PATTERNS) >= 4


def test_pools_divide_the_classes():
    pools = [class_pool(is_thing=thing, is_seen=seen) for thing in (True, False) for seen in (True, False)]
    assert sorted(index for pool in pools for index in pool) == list(range(33))
    assert sorted(class_pool(is_thing=False)) == list(range(24, 33))


def test_the_instance_table_is_the_things_seen_before_unseen_with_their_own_ids():
    things, table = shapes_thing_classes(), shapes_classes()
    assert things.is_seen == (True,) * 19 + (False,) * 5
    assert {things.names[index] for index in things.unseen} == set(UNSEEN_THINGS)
    assert set(zip(things.names, things.coco_ids, strict=True)) == {
        (table.names[index], table.coco_ids[index]) for index in class_pool(is_thing=True)
    }
    assert all(things.is_thing)


def test_the_table_is_what_it_was_before_things_of_no_split_were_drawn():
    digest = hashlib.sha256(shapes_classes().to_json().encode()).hexdigest()
    assert digest.startswith("a73b0147f9238a51")


def test_things_of_no_split_are_known_shapes_with_every_pattern_numbered_after_the_table():
    assert extra_classes() == tuple(range(33, 45))
    assert world_names()[:33] == TABLE.names
    assert {class_parts(index) for index in extra_classes()} == {(p, s) for p in PATTERNS for s in EXTRA_SHAPES}
    assert named_class("striped hexagon") in extra_classes()
    assert not set(EXTRA_SHAPES) & {word for name in TABLE.names for word in name.split()}


def test_a_name_that_nothing_is_drawn_of_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match=r"has no 'striped dog'; it has plain disc, .*checked diamond"):
        named_class("striped dog")
