import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pading.data.errors import DataError
from pading.data.jpeg import decode_jpeg

SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[0:240:48j, 0:240:64j], 90.0), axis=-1).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def encoded(pixels, mode="RGB", **settings):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **settings)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"quality": 100, "subsampling": 0}])
def test_pixels_are_those_of_pillow(mode, settings):
    jpeg = encoded(NOISE, mode, **settings)
    expected = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    np.testing.assert_array_equal(decode_jpeg(jpeg, "photo.jpg", (48, 64)), expected)


def test_pixels_of_real_photos_are_those_of_pillow(real_data):
    for path in sorted((real_data / "coco_mini" / "val2017").glob("*.jpg"))[:10]:
        with Image.open(path) as photo:
            expected = np.asarray(photo.convert("RGB"))
        np.testing.assert_array_equal(decode_jpeg(path.read_bytes(), path.name, expected.shape[:2]), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_coarser_scale_averages_blocks(mode, factor):
    jpeg = encoded(SMOOTH, mode, quality=100)
    whole = decode_jpeg(jpeg, "photo.jpg", (48, 64)).astype(float)
    blocks = whole.reshape(48 // factor, factor, 64 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(decode_jpeg(jpeg, "photo.jpg", (48, 64), factor) - blocks).max() <= 3


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
@pytest.mark.parametrize(("factor", "expected"), [(1, (45, 59)), (2, (23, 30)), (4, (12, 15)), (8, (6, 8))])
def test_sides_of_a_coarser_scale_are_rounded_up(mode, factor, expected):
    jpeg = encoded(NOISE[:45, :59], mode)
    assert decode_jpeg(jpeg, "photo.jpg", (45, 59), factor).shape == (*expected, 3)


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
@pytest.mark.parametrize("factor", [1, 4])
@pytest.mark.parametrize("kept", [0.03, 0.5, 0.9, 0.999])
def test_photos_that_end_early_are_errors_and_never_grey(mode, factor, kept):
    jpeg = encoded(NOISE, mode)
    with pytest.raises(DataError, match=r"^photo.jpg: is truncated or corrupt .*; download it again$"):
        decode_jpeg(jpeg[: int(kept * len(jpeg))], "photo.jpg", (48, 64), factor)


def test_lost_rows_are_an_error_even_where_the_end_marker_is_there():
    """Pillow fills such a photo with grey and says nothing."""
    jpeg = encoded(NOISE)
    with pytest.raises(DataError, match="premature end of data segment"):
        decode_jpeg(jpeg[: len(jpeg) // 2] + jpeg[-2:], "photo.jpg", (48, 64))


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_what_is_no_jpeg_is_refused(content):
    with pytest.raises(DataError, match=r"photo.jpg: is truncated or corrupt \(not readable as JPEG"):
        decode_jpeg(content, "photo.jpg", (48, 64))


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_photos_of_another_size_are_refused_from_the_header(mode):
    jpeg = encoded(NOISE, mode)
    with pytest.raises(DataError, match=r"photo.jpg: photo is 64 x 48, label map 64 x 40; write the shards again"):
        decode_jpeg(jpeg, "photo.jpg", (40, 64))
    huge = jpeg.replace(b"\x00\x30\x00\x40", b"\xff\xff\xff\xff")  # 65,535 px a side: 12 GB, were it decoded
    assert huge != jpeg
    with pytest.raises(DataError):
        decode_jpeg(huge, "photo.jpg", (48, 64))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_pixels_or_a_data_error(data):
    jpeg = bytearray(encoded(SMOOTH, data.draw(st.sampled_from(["RGB", "L", "CMYK"]))))
    for _ in range(data.draw(st.integers(1, 3))):
        jpeg[data.draw(st.integers(0, len(jpeg) - 1))] = data.draw(st.integers(0, 255))
    try:
        shape = decode_jpeg(bytes(jpeg), "photo.jpg", (48, 64), 2).shape
    except DataError:
        shape = (24, 32, 3)
    assert shape == (24, 32, 3)
