"""Patterns and textures: mixes between 0 and 1, repeating as their period says."""

import numpy as np
import pytest

from pading.shapes.classes import PATTERNS, TEXTURES
from pading.shapes.textures import PATTERN_MIXES, TEXTURE_MIXES, checked, dotted, plain, striped

X, Y = np.meshgrid(np.arange(160, dtype=np.float32), np.arange(160, dtype=np.float32))


def test_there_is_a_mix_for_every_pattern_and_texture():
    assert set(PATTERN_MIXES) == set(PATTERNS)
    assert set(TEXTURE_MIXES) == set(TEXTURES)


@pytest.mark.parametrize("mix", [*PATTERN_MIXES.values(), *TEXTURE_MIXES.values()])
def test_mix_stays_between_its_colours_and_keeps_float32(mix):
    value = mix(X - 80, Y - 80, 8.0)
    assert value.dtype == np.float32
    assert 0 <= value.min() <= value.max() <= 1


@pytest.mark.parametrize(
    ("mix", "share"),
    # Dots of radius 0.31 of their distance on a hexagonal grid cover pi 0.31^2 / (sqrt(3) / 2).
    [(plain, 0.0), (striped, 0.5), (checked, 0.5), (dotted, np.pi * 0.31**2 / (np.sqrt(3) / 2))],
)
def test_second_colour_covers_its_share(mix, share):
    assert mix(X, Y, 8.0).mean() == pytest.approx(share, abs=0.01)


def test_stripes_run_along_v_and_repeat_along_u():
    value = striped(X, Y, 8.0)
    assert np.ptp(value, axis=0).max() == 0
    assert np.allclose(value[:, :-8], value[:, 8:], atol=1e-4)
    assert np.allclose(value[:, :-4], 1 - value[:, 4:], atol=1e-4)


def test_neighbouring_fields_of_the_chessboard_differ():
    value = checked(X, Y, 8.0 / 1.15)
    assert np.allclose(value[:, :-4], 1 - value[:, 4:], atol=1e-3)
    assert np.allclose(value[:-4], 1 - value[4:], atol=1e-3)


def test_every_other_row_of_dots_is_shifted_by_half_a_period():
    period_px = 8.0
    row_px = 1.15 * period_px * np.sqrt(3) / 2
    u = np.linspace(0, 40, 400, dtype=np.float32)
    first = dotted(u, np.full_like(u, 0.5 * row_px), period_px)
    second = dotted(u + np.float32(1.15 * period_px / 2), np.full_like(u, 1.5 * row_px), period_px)
    assert np.allclose(first, second, atol=1e-3)
    assert first.max() == 1
    assert first.min() == 0
