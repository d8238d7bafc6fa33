import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pading.data.views.jitter import JitterConfig, View, draw_view, letterbox_view
from pading.data.views.resample import coarsest_factor, letterbox_image, put_photo, view_of_labels
from tests.references.data_views import nearest_of_box, resampled, turned

SYMMETRIES = [(is_mirrored, quarter_turns) for is_mirrored in (False, True) for quarter_turns in range(4)]


def box(top, left, height, width, content_height, content_width, is_mirrored=False, quarter_turns=0):
    return View(
        top=top,
        left=left,
        height=height,
        width=width,
        content_height=content_height,
        content_width=content_width,
        is_mirrored=is_mirrored,
        quarter_turns=quarter_turns,
    )


def jpeg_and_pixels(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue(), np.asarray(Image.open(buffer).convert("RGB"))


def seen(jpeg, file, size, view):
    """What the view shows, on a canvas of just its size."""
    height, width = view.content_height, view.content_width
    height, width = (width, height) if view.quarter_turns % 2 else (height, width)
    canvas = np.zeros((height, width, 3), dtype=np.uint8).transpose(2, 0, 1)
    put_photo(jpeg, file, size, view, canvas)
    return canvas.transpose(1, 2, 0)


def expected_view(pixels, view):
    shown = pixels[view.top : view.top + view.height, view.left : view.left + view.width]
    return turned(resampled(shown, view.content_height, view.content_width), view.is_mirrored, view.quarter_turns)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_photos_agree_with_the_dense_triangle_filter(data):
    """Any box to any size, growing or shrinking; the fast filters have fixed-point weights."""
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    view = box(
        top,
        left,
        data.draw(st.integers(1, height - top)),
        data.draw(st.integers(1, width - left)),
        data.draw(st.integers(1, 48)),
        data.draw(st.integers(1, 48)),
        *data.draw(st.sampled_from(SYMMETRIES)),
    )
    if coarsest_factor(view) != 1:
        return
    noise = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, (height, width, 3), dtype=np.uint8)
    jpeg, pixels = jpeg_and_pixels(noise)
    found = seen(jpeg, "photo.jpg", (height, width), view)
    assert np.abs(found - expected_view(pixels, view)).max() <= 2


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["letterbox", "large-scale", "shortest-edge"]),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 24),
    st.integers(0, 999),
    st.sampled_from([np.uint8, np.uint16]),
)
def test_labels_are_those_under_the_pixel_centres(mode, height, width, size_px, seed, dtype):
    labels = np.random.default_rng(seed).integers(0, 300, (height, width)).astype(dtype)
    view = draw_view(JitterConfig(mode=mode, turns=True), height, width, size_px, np.random.default_rng(seed))
    content = nearest_of_box(
        labels, view.top, view.left, view.height, view.width, view.content_height, view.content_width
    )
    found = view_of_labels(labels, view)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, turned(content, view.is_mirrored, view.quarter_turns))


@pytest.mark.parametrize(("is_mirrored", "quarter_turns"), SYMMETRIES)
def test_each_symmetry_moves_photo_and_labels_alike(is_mirrored, quarter_turns):
    labels = np.arange(40, dtype=np.uint8).reshape(5, 8)
    jpeg, pixels = jpeg_and_pixels(np.repeat(6 * labels[..., None], 3, axis=2))
    view = box(0, 0, 5, 8, 5, 8, is_mirrored, quarter_turns)
    np.testing.assert_array_equal(view_of_labels(labels, view), turned(labels, is_mirrored, quarter_turns))
    np.testing.assert_array_equal(seen(jpeg, "photo.jpg", (5, 8), view), turned(pixels, is_mirrored, quarter_turns))


@pytest.mark.parametrize(
    ("view", "factor"),
    [
        (letterbox_view(480, 640, 640), 1),
        (letterbox_view(480, 640, 321), 1),  # half would have 320 pixels
        (letterbox_view(480, 640, 320), 2),
        (letterbox_view(480, 640, 161), 2),
        (letterbox_view(480, 640, 160), 4),
        (letterbox_view(480, 640, 16), 8),
        (letterbox_view(427, 640, 128), 4),  # the last pixel of the quarter is three quarters photo
        (box(0, 0, 320, 320, 160, 160), 2),
        (box(2, 0, 320, 320, 160, 160), 2),
        (box(1, 0, 320, 320, 160, 160), 1),  # the box begins between two pixels of the half
        (box(0, 2, 320, 320, 80, 80), 2),  # and here between two of the quarter
        (box(0, 0, 320, 320, 160, 170), 1),  # the half would have 160 columns
    ],
)
def test_the_coarsest_decode_keeps_every_pixel_in_its_place(view, factor):
    assert coarsest_factor(view) == factor


@pytest.mark.parametrize(
    ("view", "factor"),
    [
        (box(16, 40, 96, 64, 12, 8, True, 1), 8),  # on the grid of eighths
        (box(0, 0, 121, 122, 12, 12), 8),  # of the last coarse pixels an eighth, and a quarter, are inside
        (box(4, 8, 101, 55, 20, 13), 4),
        (box(0, 0, 127, 127, 33, 30), 2),
    ],
)
def test_a_coarse_decode_does_not_shift_a_gradient(view, factor):
    """A slip by a coarse pixel would be 2 factor levels, the wrong extent 14 at the far end.

    A triangle sampled at few pixels is off centre by a tenth of one: 1.6 levels of an eighth, beside rounding.
    """
    y, x = np.mgrid[:128, :128]
    jpeg, pixels = jpeg_and_pixels(np.stack([2 * y, 2 * x, 255 - 2 * y], axis=-1).astype(np.uint8))
    assert coarsest_factor(view) == factor
    difference = np.abs(seen(jpeg, "photo.jpg", (128, 128), view) - expected_view(pixels, view))
    assert difference[1:-1, 1:-1].max() <= 3
    assert difference.max() <= 5  # the filter is cut off


def test_real_photos_decoded_coarsely_look_the_same(real_data):
    """Mean difference from the whole decode where they differ most: no further than two antialiasing filters do."""
    for path in sorted((real_data / "coco_mini" / "val2017").glob("*.jpg"))[:8]:
        with Image.open(path) as photo:
            pixels = np.asarray(photo.convert("RGB"))
        height, width = (side // 8 * 8 for side in pixels.shape[:2])
        view = box(0, 0, height, width, height // 8, width // 8)
        assert coarsest_factor(view) == 8
        found = seen(path.read_bytes(), path.name, pixels.shape[:2], view)
        assert np.abs(found - resampled(pixels[:height, :width], height // 8, width // 8)).mean() < 5, path.name


def test_letterboxing_a_decoded_photo_is_antialiased():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    letterboxed = letterbox_image(stripes, 16)
    assert letterboxed.shape == (3, 16, 16)
    assert np.abs(letterboxed[:, :, 1:-1].astype(int) - 127).max() <= 2  # grey, not black or white


def test_a_wide_photo_lies_at_the_top():
    photo = np.full((4, 8, 3), 200, dtype=np.uint8)
    photo.flags.writeable = False  # as Pillow's arrays are
    for size_px in (8, 4, 16):
        letterboxed = letterbox_image(photo, size_px)
        assert (letterboxed[:, : size_px // 2] == 200).all()
        assert not letterboxed[:, size_px // 2 :].any()


def test_a_photo_is_put_in_the_corner_and_nothing_beside_it():
    canvases = np.full((2, 6, 7, 3), 9, dtype=np.uint8).transpose(0, 3, 1, 2)
    jpeg, pixels = jpeg_and_pixels(np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8))
    put_photo(jpeg, "photo.jpg", (4, 5), box(0, 0, 4, 5, 4, 5), canvases[1])
    np.testing.assert_array_equal(canvases[1, :, :4, :5], pixels.transpose(2, 0, 1))
    assert (canvases[0] == 9).all()
    assert (canvases[1, :, 4:] == 9).all()
    assert (canvases[1, :, :, 5:] == 9).all()
