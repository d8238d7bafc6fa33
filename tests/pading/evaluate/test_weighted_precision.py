import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.evaluate import weighted_precision as module
from pading.evaluate.instance import RECALL_LEVELS, InstanceTally
from pading.evaluate.weighted_precision import ranked, weighted_precision

NUM_IMAGES, NUM_CLASSES = 5, 3


def random_tally(seed: int) -> tuple[InstanceTally, np.ndarray]:
    """Detections with equal scores in different images, and the true instances of each image and class."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(0, 40))
    is_ignored = rng.random(number) < 0.1
    is_matched = (rng.random(number) < 0.4) & ~is_ignored
    image_ids, classes = rng.integers(0, NUM_IMAGES, number), rng.integers(0, NUM_CLASSES, number)
    scores = np.zeros(number)
    for image in range(NUM_IMAGES):  # of the same few values, each once an image
        own = np.flatnonzero(image_ids == image)
        scores[own] = rng.permutation(len(own)) / 4
    num_true = rng.integers(0, 3, (NUM_IMAGES, NUM_CLASSES))
    np.maximum.at(num_true, (image_ids[is_matched], classes[is_matched]), 1)
    for image, kind in {*zip(image_ids[is_matched].tolist(), classes[is_matched].tolist(), strict=True)}:
        matched = int((is_matched & (image_ids == image) & (classes == kind)).sum())
        num_true[image, kind] = max(num_true[image, kind], matched)
    tally = InstanceTally(
        image_ids=image_ids,
        classes=classes,
        scores=scores,
        is_matched=is_matched[:, None],
        is_ignored=is_ignored[:, None],
        num_true=num_true.sum(axis=0),
    )
    return tally, num_true


def repeated(tally: InstanceTally, num_true: np.ndarray, times: np.ndarray) -> InstanceTally:
    """Each image as often as it counts, under ids of its own that keep the order of images."""
    parts = []
    for image, number in enumerate(times.astype(int)):
        for copy in range(number):
            own = tally.image_ids == image
            parts.append(
                InstanceTally(
                    image_ids=np.full(own.sum(), 100 * image + copy),
                    classes=tally.classes[own],
                    scores=tally.scores[own],
                    is_matched=tally.is_matched[own],
                    is_ignored=tally.is_ignored[own],
                    num_true=num_true[image],
                )
            )
    return InstanceTally.total(parts)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 3), min_size=NUM_IMAGES, max_size=NUM_IMAGES).filter(any))
def test_a_weight_is_a_number_of_copies(seed: int, times: list[int]):
    tally, num_true = random_tally(seed)
    weights = np.array([times, [1.0] * NUM_IMAGES], float)
    precision, recall = weighted_precision(ranked(tally, np.arange(NUM_IMAGES)), weights, weights @ num_true)
    for row, expected in enumerate((repeated(tally, num_true, weights[0]).quality(), tally.quality())):
        np.testing.assert_allclose(precision[row], expected.average_precision, atol=1e-12)
        np.testing.assert_allclose(recall[row], expected.recall, atol=1e-12)


def test_a_case_worked_by_hand():
    """Scores fall: right (image 0), wrong (image 1), right (image 2); two true, one in each of the images 0 and 2.

    As they are: precision 1 up to recall 1/2, then 2/3: (51 + 50 * 2/3) / 101. Image 1 twice: 2/4 beyond. Without image
    0: one true, found second: 1/2 everywhere.
    """
    tally = InstanceTally(
        image_ids=np.array([0, 1, 2]),
        classes=np.zeros(3, int),
        scores=np.array([0.9, 0.8, 0.7]),
        is_matched=np.array([[True], [False], [True]]),
        is_ignored=np.zeros((3, 1), bool),
        num_true=np.array([2]),
    )
    weights = np.array([[1, 1, 1], [1, 2, 1], [0, 1, 1]], float)
    precision, recall = weighted_precision(
        ranked(tally, np.arange(3)), weights, weights @ np.array([[1.0], [0.0], [1.0]])
    )
    np.testing.assert_allclose(precision[:, 0], [(51 + 50 * 2 / 3) / 101, (51 + 50 * 2 / 4) / 101, 0.5])
    np.testing.assert_array_equal(recall[:, 0], 1.0)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch):
    tally, num_true = random_tally(3)
    weights = np.random.default_rng(0).integers(0, 3, (50, NUM_IMAGES)).astype(float)
    whole = weighted_precision(ranked(tally, np.arange(NUM_IMAGES)), weights, weights @ num_true)
    monkeypatch.setattr(module, "VALUES_PER_CHUNK", 7)
    for values, expected in zip(
        weighted_precision(ranked(tally, np.arange(NUM_IMAGES)), weights, weights @ num_true), whole, strict=True
    ):
        np.testing.assert_array_equal(values, expected)


def test_levels_are_reached_as_a_search_among_them_says():
    fractions = np.array([found / true for true in range(1, 300) for found in range(true + 1)])
    near = np.concatenate([RECALL_LEVELS, np.nextafter(RECALL_LEVELS, 0), np.nextafter(RECALL_LEVELS, 2)])
    for recall in (fractions[:, None], near[:, None]):
        expected = np.searchsorted(RECALL_LEVELS, recall, side="right")
        np.testing.assert_array_equal(module._levels_reached(recall), expected)
