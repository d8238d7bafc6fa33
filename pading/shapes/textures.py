"""Patterns of things and textures of stuff: functions from pixel coordinates to a mix in [0, 1] between two colours.

Coordinates are in pixels, already rotated and shifted; edges are about one pixel wide, so that nothing aliases.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

Plane = Float32[ndarray, "*pixels"]


def plain(u: Plane, v: Plane, period_px: float) -> Plane:
    """Return the first colour everywhere."""
    return np.zeros_like(u)


def striped(u: Plane, v: Plane, period_px: float) -> Plane:
    """Return straight stripes of equal width."""
    return _step(_wave(u, period_px), period_px)


def dotted(u: Plane, v: Plane, period_px: float) -> Plane:
    """Return round dots in rows, each row shifted by half a period."""
    period_px *= 1.15
    row_px = period_px * math.sqrt(3) / 2
    row = np.floor(v / np.float32(row_px))
    across = np.mod(u / np.float32(period_px) + row * np.float32(0.5), 1) - np.float32(0.5)
    down = v / np.float32(row_px) - row - np.float32(0.5)
    distance_px = np.hypot(across * np.float32(period_px), down * np.float32(row_px))
    dots: Plane = np.clip(np.float32(0.31 * period_px + 0.5) - distance_px, 0, 1)
    return dots


def checked(u: Plane, v: Plane, period_px: float) -> Plane:
    """Return the fields of a chessboard."""
    period_px *= 1.15
    return _step(_wave(u, period_px) * _wave(v, period_px) * np.float32(1.5), period_px)


def waves(u: Plane, v: Plane, period_px: float) -> Plane:
    """Return soft wavy lines."""
    bend = _wave(u, 2.6 * period_px) * np.float32(0.32 * period_px)
    mix: Plane = np.float32(0.5) + np.float32(0.5) * _wave(v + bend, period_px)
    return mix


def bricks(u: Plane, v: Plane, period_px: float) -> Plane:
    """Return courses of bricks with pale joints, each course shifted by half a brick."""
    length_px = 2.1 * period_px
    course = np.floor(v / np.float32(period_px))
    along = u / np.float32(length_px) + course * np.float32(0.5)
    brick = np.floor(along)
    edge_px = np.minimum(_edge(v, period_px), _edge(along * np.float32(length_px), length_px))
    joint = np.clip(np.float32(1.4) - edge_px, 0, 1)
    shade = np.float32(0.22) + np.float32(0.16) * np.sin(course * np.float32(12.9) + brick * np.float32(78.2))
    mix: Plane = shade + joint * (1 - shade)
    return mix


def planks(u: Plane, v: Plane, period_px: float) -> Plane:
    """Return long boards of different shades with dark gaps and a fine grain."""
    width_px = 1.3 * period_px
    board = np.floor(v / np.float32(width_px))
    shade = np.float32(0.6) + np.float32(0.3) * np.sin(board * np.float32(2.4))
    grain = np.float32(0.1) * _wave(v + np.float32(0.05) * u, 3.1)
    gap = np.clip(np.float32(1.3) - _edge(v, width_px), 0, 1)
    return (shade + grain) * (1 - gap)


def _wave(u: Plane, period_px: float) -> Plane:
    wave: Plane = np.sin(u * np.float32(2 * math.pi / period_px))
    return wave


def _step(wave: Plane, period_px: float) -> Plane:
    """Return a square wave whose edges are one pixel wide, from a sine of that period."""
    steps: Plane = np.clip(np.float32(0.5) + wave * np.float32(period_px / (2 * math.pi)), 0, 1)
    return steps


def _edge(u: Plane, period_px: float) -> Plane:
    """Return the distance in pixels to the next multiple of the period."""
    distance_px: Plane = np.abs(u - np.round(u / np.float32(period_px)) * np.float32(period_px))
    return distance_px


PATTERN_MIXES: dict[str, Callable[[Plane, Plane, float], Plane]] = {
    "plain": plain,
    "striped": striped,
    "dotted": dotted,
    "checked": checked,
}
TEXTURE_MIXES: dict[str, Callable[[Plane, Plane, float], Plane]] = {"waves": waves, "bricks": bricks, "planks": planks}
