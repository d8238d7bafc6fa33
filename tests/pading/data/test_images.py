import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pading.data.images import (
    decode_class_values,
    decode_photo,
    decode_segment_ids,
    encode_png,
    open_label_image,
    open_photo,
)


def encoded(array, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def noise(height, width, *channels):
    return np.random.default_rng(0).integers(0, 256, (height, width, *channels), dtype=np.uint8)


@pytest.mark.parametrize(("dtype", "mode"), [(np.uint8, "L"), (np.uint16, "I;16")])
def test_labels_survive_as_grey_of_8_or_16_bits(dtype, mode):
    labels = np.array([[0, 1, 255], [7, 200, 0]], dtype=dtype)
    with Image.open(io.BytesIO(encode_png(labels))) as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image), labels)


def test_segment_ids_are_red_green_blue_in_base_256():
    colours = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [255, 255, 255], [0, 0, 0]]], dtype=np.uint8)
    ids = decode_segment_ids(open_label_image(io.BytesIO(encoded(colours, "PNG")), "f"), "f")
    assert ids.tolist() == [[1, 256, 65536, 256**3 - 1, 0]]


def test_a_grey_photo_becomes_rgb():
    grey = np.full((8, 8), 77, dtype=np.uint8)
    photo = decode_photo(open_photo(io.BytesIO(encoded(grey, "JPEG")), "f"), "f")
    assert np.asarray(photo).tolist() == np.full((8, 8, 3), 77).tolist()


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9])
def test_a_photo_that_ends_early_is_refused_by_name(keep):
    content = encoded(noise(64, 64, 3), "JPEG")
    cut = content[: int(len(content) * keep) if keep < 1 else keep]
    with pytest.raises(ValueError, match=r"a\.jpg: is truncated or corrupt .*; download it again"):
        decode_photo(open_photo(io.BytesIO(cut), "a.jpg"), "a.jpg")


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9])
def test_a_label_image_that_ends_early_is_refused_by_name(keep):
    content = encoded(noise(64, 64, 3), "PNG")
    cut = content[: int(len(content) * keep) if keep < 1 else keep]
    with pytest.raises(ValueError, match=r"a\.png: is truncated or corrupt .*; download it again"):
        decode_segment_ids(open_label_image(io.BytesIO(cut), "a.png"), "a.png")


def test_only_the_format_that_is_expected_is_decoded():
    with pytest.raises(ValueError, match="not readable as JPEG"):
        open_photo(io.BytesIO(encoded(noise(4, 4, 3), "PNG")), "a.jpg")
    with pytest.raises(ValueError, match="not readable as PNG"):
        open_label_image(io.BytesIO(encoded(noise(4, 4, 3), "JPEG")), "a.png")


def test_a_panoptic_png_must_be_rgb():
    image = open_label_image(io.BytesIO(encoded(noise(4, 4), "PNG")), "a.png")
    with pytest.raises(ValueError, match=r"a\.png: is a PNG of mode L; give the panoptic PNG"):
        decode_segment_ids(image, "a.png")


def class_values(content):
    return decode_class_values(open_label_image(io.BytesIO(content), "a.png"), "a.png")


def test_class_values_are_grey_values_or_palette_indices():
    values = noise(4, 5)
    np.testing.assert_array_equal(class_values(encoded(values, "PNG")), values)
    few = values % 16  # which Pillow may pack into 4 bits
    for bits in (4, 8):
        image = Image.frombytes("P", (5, 4), few.tobytes())
        image.putpalette(noise(16, 3).ravel().tolist())
        buffer = io.BytesIO()
        image.save(buffer, "PNG", bits=bits)
        np.testing.assert_array_equal(class_values(buffer.getvalue()), few)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(noise(4, 4, 3), "PNG"), "mode RGB; give a class map: 8-bit grey, or with a palette"),
        (encoded(noise(4, 4).astype(np.uint16), "PNG"), "mode I;16; give"),
        (encoded(noise(4, 4) > 99, "PNG"), "mode 1; give"),
        (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 4, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0\x12"))
            + chunk(b"IEND", b""),
            "mode L of fewer than 8 bits; give",
        ),
    ],
)
def test_class_values_must_be_stored_as_they_are(content, expected):
    with pytest.raises(ValueError, match=rf"a\.png: is a PNG of {expected}"):
        class_values(content)


def test_class_values_that_end_early_are_refused():
    with pytest.raises(ValueError, match=r"a\.png: is truncated or corrupt"):
        class_values(encoded(noise(64, 64), "PNG")[:-30])


def test_a_bomb_is_refused_by_its_header():
    """The header promises 60,000 x 60,000 pixels; the data holds none, so decoding would fail differently."""
    jpeg = bytearray(encoded(noise(16, 16, 3), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = (60_000).to_bytes(2) * 2
    with pytest.raises(ValueError, match="60000 x 60000 pixels, more than the limit of 64000000"):
        open_photo(io.BytesIO(bytes(jpeg)), "a.jpg")


def test_the_size_limit_is_an_argument_and_inclusive():
    png, jpeg = encoded(noise(4, 5, 3), "PNG"), encoded(noise(4, 5, 3), "JPEG")
    assert open_label_image(io.BytesIO(png), "f", max_pixels=20).size == (5, 4)
    assert open_photo(io.BytesIO(jpeg), "f", max_pixels=20).size == (5, 4)
    for opener, content in ((open_label_image, png), (open_photo, jpeg)):
        with pytest.raises(ValueError, match="5 x 4 pixels, more than the limit of 19"):
            opener(io.BytesIO(content), "f", max_pixels=19)
