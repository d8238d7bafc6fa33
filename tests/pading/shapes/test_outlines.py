"""Outlines: inside is where a polygon says so, and values are about distances."""

import numpy as np
import pytest

from pading.shapes.classes import EXTRA_SHAPES, SHAPES
from pading.shapes.outlines import OUTLINES, REACH
from tests.references.shapes_outlines import is_inside

ALL = (*SHAPES, *EXTRA_SHAPES)
GRID = np.linspace(-1.25, 1.25, 58, dtype=np.float32)


def test_there_is_an_outline_for_every_shape():
    assert set(OUTLINES) == set(ALL)


@pytest.mark.parametrize("shape", ALL)
def test_inside_agrees_with_the_polygon(shape):
    x, y = np.meshgrid(GRID, GRID)
    value = OUTLINES[shape](x, y)
    assert value.dtype == np.float32
    is_clear = np.abs(value) > 1e-4
    expected = np.array([is_inside(shape, float(a), float(b)) for a, b in zip(x.ravel(), y.ravel(), strict=True)])
    assert np.array_equal((value.ravel() < 0)[is_clear.ravel()], expected[is_clear.ravel()])
    assert is_clear.mean() > 0.99
    assert 0.2 < expected.mean() < 0.5


@pytest.mark.parametrize("shape", ALL)
def test_value_changes_no_faster_than_distance(shape):
    x, y = np.meshgrid(GRID, GRID)
    value = OUTLINES[shape](x, y)
    step = float(GRID[1] - GRID[0])
    assert np.abs(np.diff(value, axis=0)).max() <= step * 1.001
    assert np.abs(np.diff(value, axis=1)).max() <= step * 1.001


@pytest.mark.parametrize("shape", ALL)
def test_nothing_lies_beyond_reach(shape):
    angle = np.linspace(0, 2 * np.pi, 720, dtype=np.float32)
    assert OUTLINES[shape](REACH * np.cos(angle), REACH * np.sin(angle)).min() > 0
