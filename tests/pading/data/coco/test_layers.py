import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pading.data.coco.layers import paint_layers
from pading.shapes.rle import encode_mask
from tests.references.data_masks import first_fit, mask_of_runs

PLENTY = 10**6


def paint(masks, max_pixels=PLENTY):
    height, width = masks[0].shape
    return paint_layers([np.array(encode_mask(mask)["counts"]) for mask in masks], height, width, max_pixels)


def mask_of(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def test_layers_by_hand():
    """The second overlaps the first; the third overlaps neither; the fourth overlaps both layers."""
    masks = [mask_of("##..", "##.."), mask_of(".#..", "...."), mask_of("..##", "...."), mask_of("####", "....")]
    label_maps, areas = paint(masks)
    assert label_maps.tolist() == [[[1, 1, 3, 3], [1, 1, 0, 0]], [[0, 2, 0, 0], [0, 0, 0, 0]], [[4] * 4, [0] * 4]]
    assert areas.tolist() == [4, 1, 2, 4]
    assert label_maps.dtype == np.uint16
    assert label_maps.flags.c_contiguous


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 7))))
def test_every_mask_is_whole_in_exactly_one_layer_the_first_that_fits(masks):
    label_maps, areas = paint(list(masks))
    assert areas.tolist() == masks.sum(axis=(1, 2)).tolist()
    label = 0
    for mask, layer in zip(masks, first_fit(masks), strict=True):
        if layer is None:
            continue
        label += 1
        shown = label_maps == label
        np.testing.assert_array_equal(shown.any(axis=0), mask)
        assert shown.any(axis=(1, 2)).nonzero()[0].tolist() == [layer]
    assert label_maps.max(initial=0) == label
    assert len(label_maps) == max([0, *(layer for layer in first_fit(masks) if layer is not None)]) + 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(1, 6))
def test_any_run_lengths_paint_the_pixels_that_they_count(counts, height):
    counts[-1] += -sum(counts) % height or height
    width = sum(counts) // height
    label_maps, areas = paint_layers([np.array(counts)], height, width, PLENTY)
    expected = mask_of_runs(counts, height, width)
    np.testing.assert_array_equal(label_maps[0] == 1, expected)
    assert areas.tolist() == [expected.sum()]


def test_no_masks_leave_one_empty_layer():
    label_maps, areas = paint_layers([], 2, 3, PLENTY)
    assert label_maps.tolist() == [[[0, 0, 0], [0, 0, 0]]]
    assert areas.tolist() == []


def test_more_masks_than_16_bits_count_are_refused():
    pixel = np.array([5, 1, 0])
    with pytest.raises(ValueError, match="65536 masks, more than 65535"):
        paint_layers([pixel] * 2**16, 2, 3, PLENTY)


def test_layers_beyond_the_limit_are_refused():
    whole = np.ones((4, 5), dtype=bool)
    assert len(paint([whole, whole], max_pixels=40)[0]) == 2
    with pytest.raises(ValueError, match="more than 2 masks of 4 x 5 pixels overlap"):
        paint([whole, whole, whole], max_pixels=40)
