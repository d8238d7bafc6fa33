import numpy as np
import pytest
import torch

from pading.evaluate.counting import prepare
from pading.evaluate.overlap import overlap
from pading.evaluate.unseen_world import unseen_world


def test_the_table_holds_the_unseen_classes_alone(random_world):
    world = unseen_world(random_world.classes)
    assert world.classes.names == ("cat", "grass")
    assert world.classes.is_thing == (True, False)
    assert world.classes.unseen == (0, 1)
    assert world.numbers == (-1, 0, -1, -1, 1)


def test_probabilities_are_those_given_that_nothing_is_seen(random_world):
    world = unseen_world(random_world.classes)
    everything = torch.tensor([[0.5, 0.1, 0.1, 0.0, 0.1, 0.2], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    inside = world.probabilities(everything)
    torch.testing.assert_close(inside, torch.tensor([[0.25, 0.25, 0.5], [0.0, 0.0, 1.0]]))
    assert everything[1, 0] == 1.0  # they are not changed in place


def test_seen_segments_are_unlabelled_and_overlaps_those_of_the_new_truth(random_world):
    world = unseen_world(random_world.classes)
    kept = 0
    for image in random_world.images:
        prepared = prepare(image, random_world.classes)
        unseen = [s for s in image.segments if s.class_index in (1, 4)]
        inside = world.prepared(prepared)
        if not unseen:
            assert inside is None
            continue
        kept += 1
        assert inside is not None
        assert [s.class_index for s in inside.image.segments] == [{1: 0, 4: 1}[s.class_index] for s in unseen]
        expected = overlap(prepared.masks.is_positive, inside.image.label_maps, inside.image.segments)
        np.testing.assert_array_equal(inside.overlaps[0].iou, expected.iou)
        np.testing.assert_array_equal(inside.overlaps[1].classes, expected.classes)
        assert (inside.image.label_map > 0).sum() == sum(
            (image.label_map == image.segments.index(s) + 1).sum() for s in unseen
        )
    assert kept > 3


def test_a_table_without_unseen_classes_has_an_empty_world(random_world):
    from dataclasses import replace

    world = unseen_world(replace(random_world.classes, is_seen=(True,) * 5))
    assert world.classes.num_classes == 0
    assert world.prepared(prepare(random_world.images[0], random_world.classes)) is None


@pytest.mark.parametrize("seed", range(3))
def test_nothing_seen_has_a_probability(random_world, seed):
    probabilities = random_world.scorer(seed).probabilities(random_world.images[0], random_world.classes)
    inside = unseen_world(random_world.classes).probabilities(probabilities)
    assert inside.shape == (6, 3)
    torch.testing.assert_close(inside.sum(dim=1), torch.ones(6))
