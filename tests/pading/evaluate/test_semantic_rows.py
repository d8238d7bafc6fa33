import dataclasses

import numpy as np
import pytest
import torch

from pading.evaluate.counting import prepare
from pading.evaluate.curve import with_ends
from pading.evaluate.inference import InferenceConfig, semantic_map, upsampled_masks
from pading.evaluate.pixel_groups import PixelGroups
from pading.evaluate.semantic import count_image
from pading.evaluate.semantic_rows import count_semantic_rows

CURVE = with_ends((-0.5, 0.0, 0.25, 0.6))


def probabilities_of(world, image, num_rows: int = 11) -> torch.Tensor:
    return torch.stack([world.scorer(seed).probabilities(image, world.classes) for seed in range(num_rows)])


def counted(image, probabilities, classes, penalties) -> np.ndarray:
    prepared = prepare(image, classes)
    return count_semantic_rows(probabilities, prepared.masks.groups, prepared.truth, classes, penalties)


def of_maps(image, probabilities, classes, penalties) -> np.ndarray:
    """Oracle: draw the map of every row under every penalty, and count its pixels."""
    masks, found = upsampled_masks(image), []
    for row in probabilities:
        for penalty in penalties:
            drawn = semantic_map(row, masks, classes, InferenceConfig(seen_penalty=penalty))
            confusion = count_image(drawn, image.label_map, image.segments, classes.num_classes).confusion
            correct = np.diagonal(confusion)
            found.append([correct, confusion.sum(axis=0) + confusion.sum(axis=1) - correct])
    return np.array(found).reshape(len(probabilities), len(penalties), 2, -1).transpose(2, 0, 1, 3)


@pytest.mark.parametrize("penalties", [(0.0,), (0.3,), CURVE])
def test_rows_are_counted_as_their_maps_are(random_world, penalties):
    for image in [*random_world.images, *random_world.smooth_images]:
        probabilities = probabilities_of(random_world, image)
        found = counted(image, probabilities, random_world.classes, penalties)
        np.testing.assert_array_equal(found, of_maps(image, probabilities, random_world.classes, penalties))


def test_equal_scores_go_to_the_first_class(random_world):
    """Probabilities and masks of few values, so that classes tie at most pixels."""
    image = random_world.smooth_images[0]
    rng = np.random.default_rng(0)
    logits = rng.choice([-60000.0, 60000.0], image.mask_logits.shape).astype(np.float16)
    image = dataclasses.replace(image, mask_logits=logits)
    probabilities = torch.from_numpy(rng.integers(0, 3, (9, 6, 6)) / 4).float()
    for penalties in ((0.0,), CURVE):
        found = counted(image, probabilities, random_world.classes, penalties)
        np.testing.assert_array_equal(found, of_maps(image, probabilities, random_world.classes, penalties))


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_table_of_one_kind_has_the_same_map_under_every_penalty(random_world, is_seen):
    whole = random_world.classes
    classes = dataclasses.replace(whole, is_seen=(is_seen,) * whole.num_classes)
    image = random_world.smooth_images[1]
    probabilities = probabilities_of(random_world, image, 2)
    (plain,) = counted(image, probabilities, classes, (0.0,)).transpose(2, 0, 1, 3)
    for each in counted(image, probabilities, classes, CURVE).transpose(2, 0, 1, 3):
        np.testing.assert_array_equal(each, plain)


def test_most_pixels_of_a_smooth_image_are_not_looked_at(random_world, monkeypatch):
    looked_at = []
    loose = PixelGroups.loose
    monkeypatch.setattr(
        PixelGroups, "loose", lambda groups, is_open: looked_at.append(found := loose(groups, is_open)) or found
    )
    image = random_world.smooth_images[0]
    counted(image, probabilities_of(random_world, image, 3), random_world.classes, (0.0,))
    assert len(looked_at) == 1
    assert len(looked_at[0]) < image.height * image.width / 2
