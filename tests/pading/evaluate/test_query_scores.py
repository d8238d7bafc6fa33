import numpy as np
import pytest
import torch

from pading.classes import ClassTable
from pading.evaluate.query_scores import SETS_AT_ONCE, accuracy_estimates, class_counts
from pading.zeroshot.accuracy import query_accuracy
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features

CLASSES = ClassTable(
    name="three", names=("a", "b", "c"), coco_ids=(1, 2, 3), is_thing=(True,) * 3, is_seen=(True, True, False)
)


def world(num_rows: int = 60) -> tuple[LinearClassifier, Features]:
    randomness = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (num_rows,), generator=randomness)
    logits = torch.nn.functional.one_hot(labels, 4) + 0.8 * torch.randn(num_rows, 4, generator=randomness)
    images = torch.randint(10, (num_rows,), generator=randomness)
    return LinearClassifier(torch.eye(4), torch.zeros(4)), Features(logits, labels, images)


def test_counts_by_hand():
    rows = Features(torch.eye(4)[[0, 1, 1, 2, 3]], torch.tensor([0, 1, 0, 2, 3]), torch.tensor([7, 7, 5, 5, 5]))
    totals, rights = class_counts(LinearClassifier(torch.eye(4), torch.zeros(4)), rows, CLASSES)
    assert totals.tolist() == [[1, 0, 1], [1, 1, 0]]  # images 5 and 7; no-object is not counted
    assert rights.tolist() == [[0, 0, 1], [1, 1, 0]]


def test_on_the_images_as_they_are_the_accuracy_is_query_accuracy():
    classifier, rows = world()
    estimates, _ = accuracy_estimates(*class_counts(classifier, rows, CLASSES), CLASSES, 1, 0)
    found = query_accuracy(classifier, rows, CLASSES)
    assert estimates / 100 == pytest.approx([found[f"accuracy/{name}"] for name in ("seen", "unseen", "hm")])


def test_drawn_sets_are_the_same_for_every_classifier_and_scatter_around_the_estimate():
    classifier, rows = world()
    counts = class_counts(classifier, rows, CLASSES)
    num_sets = 2 * SETS_AT_ONCE + 7
    estimates, replicates = accuracy_estimates(*counts, CLASSES, num_sets, 3)
    assert replicates.shape == (num_sets, 3)
    assert np.array_equal(replicates, accuracy_estimates(*counts, CLASSES, num_sets, 3)[1])
    assert not np.array_equal(replicates[:7], replicates[SETS_AT_ONCE : SETS_AT_ONCE + 7])
    assert abs(replicates[:, 0].mean() - estimates[0]) < 3 * replicates[:, 0].std()


def test_a_set_that_draws_each_image_as_often_gives_the_estimate_itself():
    """One image: every set draws it once."""
    classifier, rows = world()
    single = Features(rows.embeddings, rows.labels, torch.zeros_like(rows.labels))
    estimates, replicates = accuracy_estimates(*class_counts(classifier, single, CLASSES), CLASSES, 5, 0)
    assert replicates == pytest.approx(np.tile(estimates, (5, 1)))
