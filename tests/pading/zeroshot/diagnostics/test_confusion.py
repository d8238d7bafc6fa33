import pytest
import torch

from pading.classes import ClassTable
from pading.zeroshot.diagnostics.confusion import (
    Confusion,
    class_means,
    confusions,
    nearest_means,
    nearest_texts,
    taken_for,
)
from pading.zeroshot.features import Features

CLASSES = ClassTable(
    name="three",
    names=("striped star", "dotted star", "sky"),
    coco_ids=(1, 2, 3),
    is_thing=(True, True, False),
    is_seen=(False, True, True),
)


def test_means_leave_out_no_object_and_classes_without_rows():
    labels = torch.tensor([0, 0, 2, 3])
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [100.0, 100.0]])
    means = class_means(Features(rows, labels, torch.zeros(4, dtype=torch.int64)), 3)
    torch.testing.assert_close(means, torch.tensor([[2.0, 3.0], [torch.nan, torch.nan], [5.0, 6.0]]), equal_nan=True)


def test_the_nearest_mean_is_never_that_of_an_absent_class():
    means = torch.tensor([[0.0, 0.0], [torch.nan, torch.nan], [4.0, 0.0]])
    assert nearest_means(torch.tensor([[1.9, 5.0], [2.1, -5.0]]), means).tolist() == [0, 2]
    with pytest.raises(ValueError, match="no class has a mean"):
        nearest_means(torch.ones(1, 2), torch.full((3, 2), torch.nan))


def test_the_nearest_text_is_of_another_class_and_lengths_do_not_matter():
    indices, cosines = nearest_texts(torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 9.0]]))
    assert indices.tolist() == [1, 2, 1]
    torch.testing.assert_close(cosines, torch.tensor([0.6, 0.8, 0.8]))


def test_shares_are_of_the_rows_of_the_true_class():
    shares = taken_for(torch.tensor([0, 0, 0, 0, 2]), torch.tensor([0, 1, 1, 3, 2]), 3)
    assert shares.tolist() == [[0.25, 0.5, 0.0, 0.25], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_confusions_read_as_a_sentence_largest_first():
    shares = torch.tensor([[0.2, 0.61, 0.05, 0.14], [0.0, 0.0, 0.0, 0.0], [0.7, 0.0, 0.3, 0.0]])
    found = confusions(shares, CLASSES, (0, 1, 2))
    assert [str(confusion) for confusion in found] == [
        "sky -> striped star 70 %",
        "striped star -> dotted star 61 %",
        "striped star -> no object 14 %",
    ]
    assert confusions(shares, CLASSES, (0,), smallest=0.5) == [
        Confusion(of="striped star", taken_for="dotted star", share=pytest.approx(0.61))
    ]
