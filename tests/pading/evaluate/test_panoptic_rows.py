import dataclasses

import numpy as np
import pytest
import torch

from pading.evaluate.counting import prepare
from pading.evaluate.inference import InferenceConfig, panoptic_map, upsampled_masks
from pading.evaluate.panoptic import count_image
from pading.evaluate.panoptic_rows import count_panoptic_rows

PENALTIES = (-0.9, -0.3, 0.0, 0.1, 0.4, 1.5)
PARTS = ("iou_parts", "true_positives", "false_positives", "false_negatives")


def counted(image, probabilities, classes, config, penalties=PENALTIES):
    prepared = prepare(image, classes)
    groups, truth = prepared.masks.groups, prepared.truth
    return count_panoptic_rows(probabilities, groups, truth, image.segments, classes, config, penalties)


def agree_with_maps(image, probabilities, classes, config) -> int:
    """Compare with the oracle, the map of every row under every penalty; return how many different ones there were."""
    tally, distinct = counted(image, probabilities, classes, config), set()
    for row, own in enumerate(probabilities):
        for at, penalty in enumerate(PENALTIES):
            calibrated = dataclasses.replace(config, seen_penalty=penalty)
            found = panoptic_map(own, upsampled_masks(image), classes, calibrated)
            expected = count_image(found.label_map, found.classes, image.label_map, image.segments, 5)
            for name in PARTS:
                np.testing.assert_array_equal(getattr(tally, name)[..., row, at, :], getattr(expected, name))
            distinct.add((row, expected.false_positives.tobytes(), expected.iou_parts.tobytes()))
    return len(distinct)


@pytest.mark.parametrize("threshold", [None, 0.15, 0.6])
def test_rows_are_counted_as_their_maps_are(random_world, threshold):
    config = dataclasses.replace(random_world.lenient, unseen_score_threshold=threshold)
    classes, distinct = random_world.classes, 0
    images = [*random_world.images, *random_world.smooth_images]
    for image in images:
        rows = [random_world.scorer(seed).probabilities(image, classes) for seed in range(10)]
        distinct += agree_with_maps(image, torch.stack(rows), classes, config)
    assert distinct > 12 * len(images)  # rows and penalties do differ


@pytest.mark.parametrize("mask_threshold", [0.0, 0.3, 0.95])
def test_equal_and_empty_masks_go_to_the_first_candidate(random_world, mask_threshold):
    """Masks of nothing and everything under probabilities of few values, so that queries tie at most pixels."""
    config = InferenceConfig(object_score_threshold=0.3, overlap_threshold=0.1, mask_threshold=mask_threshold)
    rng = np.random.default_rng(1)
    for image in random_world.smooth_images[:3]:
        logits = rng.choice([-60000.0, 60000.0], image.mask_logits.shape).astype(np.float16)
        image = dataclasses.replace(image, mask_logits=logits)
        probabilities = torch.from_numpy(rng.integers(0, 3, (9, 6, 6)) / 4).float()
        assert agree_with_maps(image, probabilities, random_world.classes, config) > 9


def test_rows_without_a_candidate_miss_every_segment(random_world):
    image = random_world.smooth_images[0]
    probabilities = torch.zeros(2, 6, 6)
    probabilities[..., -1] = 1.0
    tally = counted(image, probabilities, random_world.classes, random_world.lenient)
    assert not tally.true_positives.any()
    assert not tally.false_positives.any()
    missed = sum(not segment.is_crowd for segment in image.segments)
    assert (tally.false_negatives.sum(axis=2) == missed).all()
