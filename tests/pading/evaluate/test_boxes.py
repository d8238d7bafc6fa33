import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle

from pading.evaluate.boxes import box_overlap, mask_boxes, segment_boxes
from pading.evaluate.overlap import Overlap


def random_maps(seed: int) -> np.ndarray:
    """Two layers whose segments 1..4 lie in one layer each; 5 has no pixel."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice([0, 1, 2], (4, 5)), rng.choice([0, 3, 4], (4, 5))
    return np.stack([np.kron(layer, np.ones((3, 2), int)) for layer in coarse]).astype(np.uint16)


def official(mask: np.ndarray) -> list[float]:
    return rle.toBbox(rle.encode(np.asfortranarray(mask.astype(np.uint8)))).tolist()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_boxes_of_masks_and_of_segments_are_those_of_pycocotools(seed):
    label_maps = random_maps(seed)
    masks = np.stack([(label_maps == label).any(axis=0) for label in range(1, 6)])
    expected = [official(mask) if mask.any() else [0, 0, 0, 0] for mask in masks]
    assert mask_boxes(masks).tolist() == expected
    assert segment_boxes(label_maps, 5).tolist() == expected


@pytest.mark.parametrize("seed", range(4))
def test_overlaps_of_boxes_are_those_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    queries, segments = (rng.integers(1, 12, (number, 4)) for number in (9, 6))
    crowds = rng.random(6) < 0.4
    masks = Overlap(iou=np.zeros((9, 6)), classes=np.arange(6), is_crowd=crowds)
    found = box_overlap(queries, segments, masks)
    expected = rle.iou(queries.astype(float), segments.astype(float), crowds.astype(int).tolist())
    np.testing.assert_allclose(found.iou, expected, rtol=0, atol=1e-12)
    assert (found.iou > 0).any()


def test_an_empty_mask_has_an_empty_box_that_overlaps_nothing():
    empty = mask_boxes(np.zeros((1, 4, 4), bool))
    masks = Overlap(iou=np.zeros((1, 2)), classes=np.arange(2), is_crowd=np.array([False, True]))
    assert empty.tolist() == [[0, 0, 0, 0]]
    assert box_overlap(empty, np.array([[0, 0, 4, 4], [0, 0, 0, 0]]), masks).iou.tolist() == [[0, 0]]
