import numpy as np
import pytest
import torch

from pading.data.sample import Segment
from pading.evaluate.overlap import overlap


def segment(class_index: int, *, is_crowd: bool = False) -> Segment:
    return Segment(segment_id=1, class_index=class_index, is_crowd=is_crowd, area_px=0)


def test_overlap_worked_by_hand():
    masks = torch.tensor([[[1, 1, 1, 0, 0]], [[0, 0, 0, 0, 0]], [[0, 0, 1, 1, 1]]]).bool()
    label_map = np.array([[1, 1, 2, 2, 0]], dtype=np.uint16)
    overlaps = overlap(masks, label_map[None], [segment(3), segment(1, is_crowd=True)])
    np.testing.assert_array_equal(overlaps.iou, [[2 / 3, 1 / 3], [0, 0], [0, 2 / 3]])
    assert overlaps.classes.tolist() == [3, 1]
    assert overlaps.is_crowd.tolist() == [False, True]


def test_an_image_without_segments_has_no_column():
    overlaps = overlap(torch.ones(2, 3, 3).bool(), np.zeros((1, 3, 3), np.uint16), [])
    assert overlaps.iou.shape == (2, 0)


def test_overlap_equals_counting_pixels():
    rng = np.random.default_rng(0)
    masks, label_map = rng.random((6, 30, 40)) < 0.4, rng.integers(0, 5, (30, 40))
    overlaps = overlap(
        torch.from_numpy(masks), label_map[None], [segment(0), segment(1, is_crowd=True), segment(0), segment(2)]
    )
    for query, mask in enumerate(masks):
        for index in range(4):
            truth = label_map == index + 1
            divisor = mask.sum() if index == 1 else (mask | truth).sum()
            assert overlaps.iou[query, index] == (mask & truth).sum() / divisor


def test_segments_of_different_layers_may_share_pixels():
    masks = torch.tensor([[[1, 1, 1, 0]], [[0, 0, 1, 1]]]).bool()
    label_maps = np.array([[[1, 1, 1, 0]], [[0, 2, 2, 2]]], dtype=np.uint16)
    overlaps = overlap(masks, label_maps, [segment(0), segment(1)])
    np.testing.assert_array_equal(overlaps.iou, [[1, 2 / 4], [1 / 4, 2 / 3]])


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="differ in size"):
        overlap(torch.ones(2, 3, 4).bool(), np.zeros((1, 3, 3), np.uint16), [])
