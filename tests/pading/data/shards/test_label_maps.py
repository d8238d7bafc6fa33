import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.data.errors import DataError
from pading.data.shards.label_maps import decode_label_map, encode_label_map


@settings(max_examples=20, deadline=None)
@given(
    num_segments=st.sampled_from([0, 1, 254, 255, 256, 300, 65535]), height=st.integers(1, 9), seed=st.integers(0, 99)
)
def test_label_maps_survive_encoding(num_segments, height, seed):
    label_map = np.random.default_rng(seed).integers(0, num_segments + 1, (height, 7), dtype=np.uint16)
    decoded = decode_label_map(encode_label_map(label_map, num_segments), "row", (height, 7), num_segments)
    assert decoded.dtype == (np.uint8 if num_segments <= 255 else np.uint16)
    np.testing.assert_array_equal(decoded, label_map)


def test_a_label_map_of_another_size_or_depth_is_refused():
    content = encode_label_map(np.ones((4, 6), dtype=np.uint16), 1)
    for size, num_segments in (((4, 5), 1), ((4, 7), 1), ((4, 6), 256)):
        with pytest.raises(DataError, match=r"row: label map is truncated or corrupt .*; write the shards again"):
            decode_label_map(content, "row", size, num_segments)
    with pytest.raises(DataError, match="row: label map is truncated or corrupt"):
        decode_label_map(content[:-2], "row", (4, 6), 1)


def test_a_label_without_a_segment_is_refused():
    content = encode_label_map(np.full((2, 2), 3, dtype=np.uint16), 3)
    with pytest.raises(DataError, match="row: label 3 but 2 segments"):
        decode_label_map(content, "row", (2, 2), 2)


@pytest.mark.parametrize("size", [(0, 5), (60_000, 60_000), (-3, 4)])
def test_a_size_that_no_image_has_is_refused_before_memory_is_asked_for(size):
    with pytest.raises(DataError, match=r"row: label map of -?\d+ x -?\d+ pixels"):
        decode_label_map(b"", "row", size, 1)
