import numpy as np

from pading.evaluate.mask_recall import count_image
from pading.evaluate.overlap import Overlap


def test_recall_asks_for_any_query_and_leaves_crowds_out():
    iou = np.array([[0.5, 0.0, 0.9, 0.3], [0.1, 0.49, 0.0, 0.7]])
    overlaps = Overlap(iou=iou, classes=np.array([2, 2, 0, 1]), is_crowd=np.array([False, False, True, False]))
    tally = count_image(overlaps, 3)
    assert tally.num_true.tolist() == [0, 1, 2]
    assert tally.num_found.tolist() == [0, 1, 1]
    assert (tally + tally).num_found.tolist() == [0, 2, 2]
    assert (tally + tally).num_true.tolist() == [0, 2, 4]


def test_an_image_without_queries_finds_nothing():
    overlaps = Overlap(iou=np.zeros((0, 1)), classes=np.array([1]), is_crowd=np.array([False]))
    assert count_image(overlaps, 2).num_found.tolist() == [0, 0]
