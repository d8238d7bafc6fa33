import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pading.classes import ClassTable
from pading.zeroshot.accuracy import harmonic_mean, query_accuracy
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features

CLASSES = ClassTable(
    name="four",
    names=("a", "b", "c", "d"),
    coco_ids=(1, 2, 3, 4),
    is_thing=(True,) * 4,
    is_seen=(True, True, False, False),
)
ECHO = LinearClassifier(torch.eye(5), torch.zeros(5))  # says the class whose entry is largest


def said(labels, answers):
    rows = torch.nn.functional.one_hot(torch.tensor(answers), 5).float()
    return Features(rows, torch.tensor(labels), torch.zeros(len(labels), dtype=torch.int64))


def test_accuracy_is_the_mean_over_classes_that_occur_worked_by_hand():
    # a: 3 of 4, b: 0 of 1 (taken for no-object), c: 1 of 2, d absent, and two no-object rows that do not count
    features = said([0, 0, 0, 0, 1, 2, 2, 4, 4], [0, 0, 0, 1, 4, 2, 0, 4, 0])
    assert query_accuracy(ECHO, features, CLASSES) == {
        "accuracy/seen": 0.375,
        "accuracy/unseen": 0.5,
        "accuracy/hm": pytest.approx(2 * 0.375 * 0.5 / 0.875),
    }


def test_a_group_without_features_is_refused():
    with pytest.raises(ValueError, match="no feature of any unseen class of 'four'"):
        query_accuracy(ECHO, said([0], [0]), CLASSES)
    with pytest.raises(ValueError, match="no feature of any seen class of 'four'"):
        query_accuracy(ECHO, said([2], [2]), CLASSES)


@given(st.floats(0, 1), st.floats(0, 1))
def test_harmonic_mean_lies_between_and_nearer_the_smaller(seen, unseen):
    mean = harmonic_mean(seen, unseen)
    assert min(seen, unseen) - 1e-12 <= mean <= (seen + unseen) / 2 + 1e-12
    assert harmonic_mean(seen, 0.0) == 0
