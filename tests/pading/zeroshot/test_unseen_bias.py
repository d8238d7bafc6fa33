import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.classes import ClassTable
from pading.zeroshot.accuracy import query_accuracy
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.unseen_bias import accuracy_curve, area_under_curve

CLASSES = ClassTable(
    name="four", names=("a", "b", "c", "d"), coco_ids=(1, 2, 3, 4), is_thing=(True,) * 4,
    is_seen=(True, True, False, False),
)  # fmt: skip


def identity(width: int) -> LinearClassifier:
    return LinearClassifier(torch.eye(width), torch.zeros(width))


def rows(logits: list[list[float]], labels: list[int]) -> Features:
    return Features(torch.tensor(logits), torch.tensor(labels), torch.arange(len(labels)))


def test_the_curve_by_hand():
    """Logits of a, b, c, d, no-object; turning points 3 (a is right till then), 1 (c is from then), -1 (d is)."""
    features = rows(
        [[5.0, 0, 2, 0, 0], [2.0, 0, 1, 0, 0], [1.0, 0, 0, 2, 0], [0, 0, 0, 0, 9.0]],
        [0, 2, 3, 4],
    )
    seen, unseen = accuracy_curve(identity(5), features, CLASSES)
    assert seen.tolist() == [1, 1, 1, 0]
    assert unseen.tolist() == [0, 0.5, 1, 1]
    assert area_under_curve(identity(5), features, CLASSES) == 1.0


def test_classes_count_alike_however_many_rows_they_have():
    features = rows([[5.0, 0, 0, 0, 0]] * 3 + [[3.0, 0, 0, 0, 0]] + [[0, 0, 1.0, 0, 0]], [0, 0, 0, 1, 2])
    seen, unseen = accuracy_curve(identity(5), features, CLASSES)
    assert seen.tolist()[0] == 0.5  # a is always right, b never, before the bias
    assert unseen.tolist()[-1] == 1.0


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_every_point_is_what_query_accuracy_says_of_the_biased_classifier(seed):
    randomness = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(4), torch.randint(5, (8,), generator=randomness)])
    logits = torch.randn(12, 5, generator=randomness)
    features = Features(logits, labels, torch.arange(12))
    seen, unseen = accuracy_curve(identity(5), features, CLASSES)
    objects = logits[labels != 4]
    turning = torch.unique(objects[:, [0, 1, 4]].amax(dim=1).double() - objects[:, [2, 3]].amax(dim=1).double())
    between = [(low + high) / 2 for low, high in itertools.pairwise(turning)]
    biases = [float(turning[0]) - 1, *map(float, between), float(turning[-1]) + 1]
    assert len(biases) == len(seen) == len(unseen)
    for bias, one, other in zip(biases, seen.tolist(), unseen.tolist(), strict=True):
        biased = LinearClassifier(torch.eye(5), torch.tensor([0.0, 0, bias, bias, 0]))
        found = query_accuracy(biased, features, CLASSES)
        assert (one, other) == pytest.approx((found["accuracy/seen"], found["accuracy/unseen"]))
    assert 0 <= area_under_curve(identity(5), features, CLASSES) <= 1


def test_a_bias_on_unseen_logits_does_not_move_the_area():
    features = rows([[5.0, 0, 2, 0, 0], [2.0, 0, 1, 0, 0], [1.0, 0, 0, 2, 0], [3.0, 0, 0, 2, 0]], [0, 2, 3, 1])
    biased = LinearClassifier(torch.eye(5), torch.tensor([0.0, 0, 7, 7, 0]))
    assert area_under_curve(biased, features, CLASSES) == area_under_curve(identity(5), features, CLASSES)


def test_a_head_that_cannot_say_unseen_has_no_area():
    silent = LinearClassifier(torch.eye(5), torch.tensor([0.0, 0, -math.inf, -math.inf, 0]))
    features = rows([[5.0, 0, 2, 0, 0], [2.0, 0, 1, 0, 0]], [0, 2])
    # where the bias would have to be infinite, both groups turn at once: a straight line, as by tossing a coin
    assert area_under_curve(silent, features, CLASSES) == pytest.approx(0.5)


def test_both_groups_are_needed():
    for labels, group in (([0, 1], "unseen"), ([2, 3], "seen")):
        with pytest.raises(ValueError, match=f"no feature of any {group} class of 'four'"):
            accuracy_curve(identity(5), rows([[1.0, 0, 0, 0, 0]] * 2, labels), CLASSES)
