import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from pading.data.coco.masks import Polygons, Runs, compress, decompress, read_shape, run_lengths
from pading.shapes.rle import encode_mask
from tests.references.data_masks import mask_of_runs, runs_of_code

FILE = Path("a.json")


def shape_of(segmentation):
    return read_shape(segmentation, "annotation 5", FILE)


def mask_of(segmentation, height, width):
    (counts,) = run_lengths([shape_of(segmentation)], height, width)
    return mask_of_runs(counts, height, width)


def filled_by_coco(polygons, height, width):
    """The mask as COCO's own tool fills outlines, straight from the numbers of the file."""
    whole = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return mask_of_runs(runs_of_code(whole["counts"]), height, width)


def compressed(mask):
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


@settings(max_examples=30, deadline=None)
@given(arrays(bool, (3, 4, 5)))
def test_compressed_masks_decompress_to_the_same_pixels(masks):
    for mask, code in zip(masks, compress(masks), strict=True):
        np.testing.assert_array_equal(mask_of_runs(decompress(code.encode()), 4, 5), mask)
        assert code.encode() == compressed(mask)


def test_a_square_fills_its_pixels():
    square = [[1, 1, 4, 1, 4, 3, 1, 3]]
    expected = np.zeros((5, 6), dtype=bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(mask_of(square, 5, 6), expected)


def test_outlines_of_one_object_are_joined():
    parts = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]]
    expected = mask_of(parts[:1], 4, 4) | mask_of(parts[1:], 4, 4)
    np.testing.assert_array_equal(mask_of(parts, 4, 4), expected)
    assert expected.sum() == 7


coordinates = st.one_of(
    st.floats(-30, 60, allow_nan=False, width=32),
    st.integers(-20, 40),
    st.integers(-300, 500).map(lambda tenths: tenths / 10),  # where fifths of a pixel are rounded
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(coordinates, min_size=6, max_size=16).map(lambda c: c[: len(c) // 2 * 2]), min_size=1, max_size=3)
)
def test_any_polygon_is_filled_as_by_the_official_tool(polygons):
    np.testing.assert_array_equal(mask_of(polygons, 23, 31), filled_by_coco(polygons, 23, 31))


def test_real_polygons_are_filled_as_by_the_official_tool(real_data):
    document = json.loads((real_data / "coco_instances_mini" / "annotations" / "instances_train2017.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in document["images"]}
    outlined = [entry for entry in document["annotations"] if not entry["iscrowd"]]
    assert len(outlined) > 1400
    for entry in outlined:
        (counts,) = run_lengths([shape_of(entry["segmentation"])], *sizes[entry["image_id"]])
        official = coco_mask.merge(coco_mask.frPyObjects(entry["segmentation"], *sizes[entry["image_id"]]))
        assert counts.tolist() == runs_of_code(official["counts"])


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 40))))
def test_compressed_and_plain_run_lengths_are_the_same_mask(mask):
    plain, code = encode_mask(mask), compressed(mask)
    assert shape_of(plain) == shape_of({"size": plain["size"], "counts": code.decode()})
    np.testing.assert_array_equal(mask_of(plain, *mask.shape), mask)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_decompressing_follows_the_definition(counts):
    code = coco_mask.frPyObjects({"counts": counts, "size": [1, sum(counts)]}, 1, sum(counts))["counts"]
    assert decompress(code).tolist() == counts == runs_of_code(code)


def test_outlines_and_runs_may_be_mixed():
    runs = encode_mask(np.eye(3, dtype=bool))
    square = [[0, 0, 2, 0, 2, 2, 0, 2]]
    found = run_lengths([shape_of(runs), shape_of(square), shape_of(runs)], 3, 3)
    assert [counts.tolist() for counts in found] == [runs["counts"], [0, 2, 1, 2, 4], runs["counts"]]


def test_shapes_are_small():
    """Two numbers a corner, four bytes a number: what keeps a million objects in memory."""
    shape = shape_of([[1.25, 2.5, 100.75, 2.5, 50.01, 99.99]])
    assert isinstance(shape, Polygons)
    assert len(shape.corners) == 6 * 4
    assert isinstance(shape_of(encode_mask(np.eye(3, dtype=bool))), Runs)


SQUARE = [0, 0, 2, 0, 2, 2, 0, 2]
ADD_UP = "run lengths do not add up to 2 x 3 pixels"
NOT_READ = "run lengths do not read"
NO_SIZE = "run lengths without a size"


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        (None, "'segmentation' is a NoneType; give a list of polygons"),
        ([], r"polygons of \[\] numbers; give x and y of at least three corners"),
        ([[1, 2, 3, 4]], r"polygons of \[4\] numbers"),
        ([SQUARE, [1, 2, 3, 4, 5, 6, 7]], r"polygons of \[8, 7\] numbers"),
        (SQUARE, r"polygons of \[0, 0, 0, 0, 0, 0, 0, 0\] numbers"),
        ([[*SQUARE, None, 1]], "a polygon has what is no number"),
        ([[*SQUARE, "1", 1]], "a polygon has what is no number"),
        ([[*SQUARE, [1], 1]], "a polygon has what is no number"),
        ([[*SQUARE, 10**400, 1]], "a polygon has what is no number"),
        ([[*SQUARE, math.nan, 1]], "a polygon has a corner at nan"),
        ([[*SQUARE, -math.inf, 1]], "a polygon has a corner at inf"),
        ([[*SQUARE, 1e9, 1]], "a polygon has a corner at 1000000000.0"),
        ([[0, 0, 9e5, 9e5] * 5], r"the polygons are 9\d+ pixels long; give the outline of one object"),
        ({"counts": [6]}, NO_SIZE),
        ({"counts": [6], "size": [2, 3, 1]}, NO_SIZE),
        ({"counts": [6], "size": [2, "3"]}, NO_SIZE),
        ({"counts": [0], "size": [0, 3]}, NO_SIZE),
        ({"counts": [5], "size": [2, 3]}, ADD_UP),
        ({"counts": [5, 2], "size": [2, 3]}, ADD_UP),
        ({"counts": [7, -1], "size": [2, 3]}, ADD_UP),
        ({"counts": [], "size": [2, 3]}, ADD_UP),
        ({"counts": [2**62] * 4, "size": [2, 3]}, ADD_UP),
        ({"counts": [10**12], "size": [10**6, 10**6]}, "run lengths do not add up to 1000000 x 1000000 pixels"),
        ({"counts": [2**64], "size": [2, 3]}, NOT_READ),
        ({"counts": [6.0], "size": [2, 3]}, NOT_READ),
        ({"counts": {}, "size": [2, 3]}, NOT_READ),
        ({"size": [2, 3]}, NOT_READ),
        ({"counts": "", "size": [2, 3]}, f"{NOT_READ} .no run lengths in COCO's compressed form"),
        ({"counts": "é", "size": [2, 3]}, NOT_READ),
        ({"counts": "6 ", "size": [2, 3]}, NOT_READ),
        ({"counts": "P", "size": [2, 3]}, NOT_READ),
        ({"counts": "PPPPPPPPPPPPP0", "size": [2, 3]}, f"{NOT_READ} .a compressed run length is longer than any image"),
        ({"counts": "5", "size": [2, 3]}, ADD_UP),
        ({"counts": "N8", "size": [2, 3]}, ADD_UP),
    ],
)
def test_wrong_shapes_are_refused_in_one_line(segmentation, expected):
    with pytest.raises(ValueError, match=rf"^a\.json: annotation 5: {expected}") as error:
        shape_of(segmentation)
    assert "\n" not in str(error.value)
