import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.data.views.labels import IGNORED, compact_labels, pad_labels
from tests.references.data_labels import compacted


def segment(class_index, is_crowd=False):
    return {"class_index": class_index, "is_crowd": is_crowd}


def compact(layers, segments, max_segments=254, has_background=False, dtype=np.uint8):
    labels, classes = compact_labels(
        [np.array(layer, dtype=dtype) for layer in layers], segments, max_segments, has_background
    )
    assert all(layer.dtype == np.uint8 for layer in labels)
    return [layer.tolist() for layer in labels], classes


def test_void_is_ignored_and_background_is_not():
    layers, segments = [[[1, 0], [2, 2]]], [segment(4), segment(5)]
    assert compact(layers, segments) == ([[[1, IGNORED], [2, 2]]], [4, 5])
    assert compact(layers, segments, has_background=True) == ([[[1, 0], [2, 2]]], [4, 5])


@pytest.mark.parametrize("has_background", [False, True])
def test_crowds_are_ignored(has_background):
    layers, segments = [[[1, 2], [3, 2]]], [segment(4), segment(5, is_crowd=True), segment(6)]
    assert compact(layers, segments, has_background=has_background) == ([[[1, IGNORED], [2, IGNORED]]], [4, 6])


def test_segments_without_a_pixel_vanish():
    assert compact([[[3, 3]]], [segment(4), segment(5), segment(6)]) == ([[[1, 1]]], [6])
    assert compact([[[0, 0]]], [segment(4)]) == ([[[IGNORED, IGNORED]]], [])
    assert compact([[[0, 0]]], [], has_background=True) == ([[[0, 0]]], [])


def test_of_too_many_segments_the_largest_stay_in_order():
    layers = [[[1, 2, 2, 2], [3, 3, 4, 4], [4, 4, 4, 0]]]
    segments = [segment(10), segment(11), segment(12), segment(13)]
    expected = [[[255, 1, 1, 1], [255, 255, 2, 2], [2, 2, 2, 255]]]
    assert compact(layers, segments, max_segments=2) == (expected, [11, 13])
    expected[0][2][3] = 0  # what was dropped is no background
    assert compact(layers, segments, max_segments=2, has_background=True) == (expected, [11, 13])


def test_a_crowd_is_ignored_only_where_nothing_else_lies():
    """Segment 1 in the first layer, a crowd half over it in the second."""
    layers, segments = [[[1, 1, 0, 0]], [[0, 2, 2, 0]]], [segment(4), segment(5, is_crowd=True)]
    assert compact(layers, segments, has_background=True) == ([[[1, 1, IGNORED, 0]]], [4])


def test_overlapping_segments_keep_their_layers_and_ignored_pixels_are_in_the_first():
    layers = [[[3, 3, 1, 0, 0]], [[0, 2, 2, 2, 0]]]
    segments = [segment(4), segment(5), segment(6, is_crowd=True)]
    expected = [[[IGNORED, 0, 1, 0, 0]], [[0, 2, 2, 2, 0]]]
    assert compact(layers, segments, has_background=True) == (expected, [4, 5])


def test_layers_that_show_nothing_vanish():
    layers, segments = [[[0, 0]], [[0, 1]], [[2, 0]]], [segment(4, is_crowd=True), segment(5)]
    assert compact(layers, segments, has_background=True) == ([[[0, IGNORED]], [[1, 0]]], [5])


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_labels_equal_the_loop_over_pixels(data):
    num_layers, num_segments = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 9))
    random = np.random.default_rng(data.draw(st.integers(0, 9999)))
    layers = np.zeros((num_layers, 4, 5), dtype=np.uint16)
    for layer in range(num_layers):
        layers[layer] = random.choice(np.append(np.arange(1, num_segments + 1)[layer::num_layers], 0), (4, 5))
    segments = [segment(int(random.integers(99)), bool(random.random() < 0.2)) for _ in range(num_segments)]
    room, has_background = data.draw(st.integers(1, 6)), data.draw(st.booleans())
    expected = compacted(layers.tolist(), segments, room, has_background)
    assert compact(layers, segments, room, has_background) == expected
    assert compact(layers, segments, room, has_background, dtype=np.uint16) == expected


def test_more_segments_than_8_bits_hold_are_counted_right():
    layer = np.arange(1, 301, dtype=np.uint16).reshape(15, 20)
    (labels,), classes = compact_labels([layer], [segment(i) for i in range(300)], 254, False)
    assert classes == list(range(254))  # of equal size: the first
    assert labels.ravel().tolist() == [*range(1, 255), *[IGNORED] * 46]


def test_canvases_have_as_many_layers_as_the_image_with_most_and_ignored_padding():
    one, two = np.array([[1, 2]], dtype=np.uint8), np.array([[3], [0]], dtype=np.uint8)
    label_maps = pad_labels([[one], [two, two]], 3)
    i = IGNORED
    assert label_maps.tolist() == [
        [[[1, 2, i], [i, i, i], [i, i, i]], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]],
        [[[3, i, i], [0, i, i], [i, i, i]], [[3, 0, 0], [0, 0, 0], [0, 0, 0]]],
    ]
    assert pad_labels([], 3).shape == (0, 1, 3, 3)
