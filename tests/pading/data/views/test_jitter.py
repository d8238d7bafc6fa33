import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.data.views.colour import UNCHANGED
from pading.data.views.jitter import JitterConfig, View, draw_view, letterbox_size, letterbox_view

MODES = ("letterbox", "large-scale", "shortest-edge")


def draws(config, height, width, size_px, number=300):
    random = np.random.default_rng(0)
    return [draw_view(config, height, width, size_px, random) for _ in range(number)]


@pytest.mark.parametrize(
    ("height", "width", "size_px", "expected"),
    [
        (480, 640, 64, (48, 64)),
        (640, 480, 64, (64, 48)),
        (333, 500, 64, (43, 64)),  # 42.62
        (5, 8, 4, (3, 4)),  # 2.5 rounds up
        (1, 1000, 64, (1, 64)),  # 0.064, but never nothing
        (10, 10, 64, (64, 64)),
    ],
)
def test_letterbox_sizes_by_hand(height, width, size_px, expected):
    assert letterbox_size(height, width, size_px) == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 1024))
def test_the_letterbox_is_filled_along_the_longest_side(height, width, size_px):
    content = letterbox_size(height, width, size_px)
    assert max(content) == size_px
    assert min(content) >= 1
    assert content[::-1] == letterbox_size(width, height, size_px)


def test_a_letterbox_shows_the_whole_photo_upright():
    expected = View(top=0, left=0, height=480, width=640, content_height=48, content_width=64)
    assert letterbox_view(480, 640, 64) == expected
    assert draws(JitterConfig(flip=False), 480, 640, 64, number=3) == [expected] * 3


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(MODES),
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.integers(1, 1024),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_views_lie_within_the_photo_and_the_canvas(mode, height, width, size_px, turns, seed):
    config = JitterConfig(mode=mode, turns=turns, colour=True)
    view = draw_view(config, height, width, size_px, np.random.default_rng(seed))
    assert 0 <= view.top < view.top + view.height <= height
    assert 0 <= view.left < view.left + view.width <= width
    assert 1 <= view.content_height <= size_px
    assert 1 <= view.content_width <= size_px
    assert view.quarter_turns in range(4)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(MODES),
    st.integers(200, 1000),
    st.integers(200, 1000),
    st.integers(200, 1024),
    st.integers(0, 10_000),
)
def test_the_aspect_of_a_view_is_that_of_the_photo(mode, height, width, size_px, seed):
    """Boxes and contents are whole pixels: each side is off by half a pixel at most."""
    view = draw_view(JitterConfig(mode=mode), height, width, size_px, np.random.default_rng(seed))
    lowest = (view.content_height - 0.5) / (view.height + 0.5), (view.content_width - 0.5) / (view.width + 0.5)
    highest = (view.content_height + 0.5) / (view.height - 0.5), (view.content_width + 0.5) / (view.width - 0.5)
    assert max(lowest) <= min(highest)


def test_a_large_scale_view_by_hand():
    """Scale 2 of a 300 x 400 photo at 400 px is 600 x 800: a box of 200 x 200 fills the canvas."""
    config = JitterConfig(mode="large-scale", min_scale=2.0, max_scale=2.0)
    for view in draws(config, 300, 400, 400):
        assert (view.height, view.width, view.content_height, view.content_width) == (200, 200, 400, 400)
    half = dataclasses.replace(config, min_scale=0.5, max_scale=0.5)
    whole = letterbox_view(300, 400, 200)
    assert draws(dataclasses.replace(half, flip=False), 300, 400, 400, number=2) == [whole] * 2


def test_large_scales_are_drawn_evenly_from_a_tenth_to_twice():
    views = draws(JitterConfig(mode="large-scale"), 500, 500, 100, number=2000)
    scales = np.array([5 * view.content_height / view.height for view in views])
    assert scales.min() == pytest.approx(0.1, abs=0.02)
    assert scales.max() == pytest.approx(2.0, abs=0.02)
    counts, _ = np.histogram(scales, bins=4, range=(0.1, 2.0))
    assert np.abs(counts - 500).max() < 100  # five standard deviations


@pytest.mark.parametrize("size_px", [1100, 640])
def test_shortest_sides_are_the_listed_ones(size_px):
    views = draws(JitterConfig(mode="shortest-edge"), 480, 480, size_px)
    shown = [round(480 * view.content_height / view.height) for view in views]
    listed = set(range(320, 961, 64))
    assert {min(listed, key=lambda side: abs(side - found)) for found in shown} == listed
    assert all(min(abs(side - found) for side in listed) <= 1 for found in shown)


def test_a_long_photo_is_scaled_by_its_longest_side():
    """100 x 1000: a shortest side of 320 would make the longest 3200, beyond 2560, so the scale is 2.56."""
    view = draws(JitterConfig(mode="shortest-edge"), 100, 1000, 640, number=1)[0]
    assert (view.height, view.width, view.content_height, view.content_width) == (100, 250, 256, 640)


def test_crops_reach_every_place():
    config = JitterConfig(mode="large-scale", min_scale=2.0, max_scale=2.0)
    views = draws(config, 10, 10, 10)
    assert {view.top for view in views} == {view.left for view in views} == set(range(6))
    assert any(view.top != view.left for view in views)


def test_half_of_the_views_are_mirrored_and_none_without_flip():
    views = draws(JitterConfig(), 4, 4, 4, number=400)
    assert 0.4 < np.mean([view.is_mirrored for view in views]) < 0.6  # four standard deviations
    assert {view.quarter_turns for view in views} == {0}
    assert not any(view.is_mirrored for view in draws(JitterConfig(flip=False), 4, 4, 4))


def test_turns_draw_all_eight_symmetries_alike():
    views = draws(JitterConfig(turns=True), 4, 4, 4, number=1600)
    counts = Counter((view.is_mirrored, view.quarter_turns) for view in views)
    assert len(counts) == 8
    assert all(130 < count < 270 for count in counts.values())  # five standard deviations


def test_one_option_does_not_change_what_another_draws():
    plain, all_on = (
        draws(JitterConfig(mode="large-scale", flip=is_on, turns=is_on, colour=is_on), 480, 640, 320, number=20)
        for is_on in (False, True)
    )
    assert all(view.colour == UNCHANGED for view in plain)
    assert len({view.colour for view in all_on}) > 10
    upright = {"is_mirrored": False, "quarter_turns": 0, "colour": UNCHANGED}
    assert [dataclasses.replace(view, **upright) for view in all_on] == plain


def test_equal_generators_draw_equal_views():
    config = JitterConfig(mode="shortest-edge", turns=True, colour=True)
    assert draws(config, 480, 640, 320) == draws(config, 480, 640, 320)


@pytest.mark.parametrize("scales", [{"min_scale": 0.0}, {"min_scale": 3.0}, {"max_scale": 0.05}])
def test_scales_without_a_range_are_refused(scales):
    with pytest.raises(ValueError, match="give 0 < min_scale <= max_scale"):
        JitterConfig(**scales)


@pytest.mark.parametrize("sides", [{"shortest_px": ()}, {"shortest_px": (0, 5)}, {"longest_px": 959}])
def test_sides_that_cannot_be_are_refused(sides):
    with pytest.raises(ValueError, match="none beyond longest_px"):
        JitterConfig(**sides)
