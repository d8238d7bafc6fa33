import dataclasses

import numpy as np
import pytest

from pading.evaluate.counting import count_panoptic, prepare
from pading.evaluate.inference import panoptic_map, upsampled_masks
from pading.evaluate.panoptic import count_image

PENALTIES = (-0.9, -0.3, 0.0, 0.1, 0.4, 1.5)


@pytest.mark.parametrize("threshold", [None, 0.15, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_counting_many_penalties_together_is_counting_the_map_of_each(random_world, seed, threshold):
    config = dataclasses.replace(random_world.lenient, unseen_score_threshold=threshold)
    classes, distinct = random_world.classes, set()
    for image in random_world.images:
        prepared = prepare(image, classes)
        probabilities = random_world.scorer(seed).probabilities(image, classes)
        tallies = count_panoptic(prepared, probabilities, classes, config, PENALTIES)
        for penalty, tally in zip(PENALTIES, tallies, strict=True):
            calibrated = dataclasses.replace(config, seen_penalty=penalty)
            found = panoptic_map(probabilities, upsampled_masks(image), classes, calibrated)
            expected = count_image(found.label_map, found.classes, image.label_map, image.segments, 5)
            for name in ("iou_parts", "true_positives", "false_positives", "false_negatives"):
                np.testing.assert_array_equal(getattr(tally, name), getattr(expected, name))
            distinct.add((image.image_id, tally.false_positives.tobytes()))
    assert len(distinct) > 2 * len(random_world.images)
