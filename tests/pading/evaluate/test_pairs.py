from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.evaluate.pairs import count_pairs


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(0, 6), width=st.integers(0, 9), num_labels=st.integers(1, 4))
def test_counting_runs_equals_counting_pixels(seed, height, width, num_labels):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, num_labels, (height, width)).astype(np.uint16)
    second = rng.integers(0, 3, (height, width)).astype(np.int32)
    counts = count_pairs(first, second, num_labels, 3)
    pixels = Counter(zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))
    assert counts.shape == (num_labels, 3)
    assert {pair: int(count) for pair, count in np.ndenumerate(counts) if count} == pixels


def test_large_labels_do_not_overflow():
    counts = count_pairs(np.array([[999, 0]], np.uint16), np.array([[1999, 1]], np.uint16), 1000, 2000)
    assert counts[999, 1999] == counts[0, 1] == 1
    assert counts.sum() == 2


def test_labels_outside_their_range_are_refused():
    with pytest.raises(ValueError, match=r"labels 0\.\.2 leave 0\.\.1"):
        count_pairs(np.array([[0, 2]]), np.array([[0, 0]]), 2, 1)
    with pytest.raises(ValueError, match=r"labels -1\.\.0 leave 0\.\.1"):
        count_pairs(np.array([[0, 0]]), np.array([[0, -1]]), 1, 2)
    with pytest.raises(ValueError, match="maps differ in size"):
        count_pairs(np.array([[0, 0]]), np.array([[0]]), 1, 1)
