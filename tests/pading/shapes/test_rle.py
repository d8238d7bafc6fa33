"""Run lengths: by hand, against pycocotools, and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from pading.shapes.rle import encode_mask


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        # Down the columns: 0 1 | 0 1 | 1 0.
        ([[0, 0, 1], [1, 1, 0]], [1, 1, 1, 2, 1]),
        ([[0, 0], [0, 0]], [4]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[1], [0]], [0, 1, 1]),
    ],
)
def test_runs_by_hand(rows, counts):
    mask = np.array(rows, dtype=bool)
    assert encode_mask(mask) == {"counts": counts, "size": list(mask.shape)}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools under numpy 2
@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
@settings(max_examples=60, deadline=None)
def test_pycocotools_decodes_the_same_mask(mask):
    encoded = encode_mask(mask)
    assert sum(encoded["counts"]) == mask.size
    compressed = coco_mask.frPyObjects(encoded, *encoded["size"])
    assert np.array_equal(coco_mask.decode(compressed), mask)
