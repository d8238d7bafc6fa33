"""Outlines of things as implicit functions: negative inside, zero on the outline, elsewhere about the distance to it.

Coordinates are those of the thing: centred, unrotated, divided by its radius; no outline reaches beyond `REACH`.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

REACH = 1.16

Plane = Float32[ndarray, "*pixels"]


def disc(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of a filled circle."""
    distance: Plane = np.hypot(x, y) - np.float32(0.95)
    return distance


def square(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of a square."""
    distance: Plane = np.maximum(np.abs(x), np.abs(y)) - np.float32(0.78)
    return distance


def triangle(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of an equilateral triangle."""
    distance: Plane = np.maximum(np.abs(x) * np.float32(math.sqrt(3) / 2) - y * np.float32(0.5), y) - np.float32(0.57)
    return distance


def star(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of a five-pointed star, rather fat so that its pattern shows."""
    outer, inner, half_point = 1.14, 0.54, math.pi / 5
    angle = np.arctan2(x, y)
    folded = np.abs(angle - np.round(angle / np.float32(2 * half_point)) * np.float32(2 * half_point))
    # Half a point is bounded by the line from its tip (outer, 0) to the notch beside it; this is that line's normal.
    normal_angle = math.atan2(outer - inner * math.cos(half_point), inner * math.sin(half_point))
    across: Plane = np.hypot(x, y) * np.cos(folded - np.float32(normal_angle))
    return across - np.float32(outer * math.cos(normal_angle))


def ring(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of a ring; what lies behind shows through its hole."""
    distance: Plane = np.abs(np.hypot(x, y) - np.float32(0.73)) - np.float32(0.29)
    return distance


def cross(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of a cross with four equal arms."""
    x, y = np.abs(x), np.abs(y)
    distance: Plane = np.maximum(np.maximum(x, y) - np.float32(1.02), np.minimum(x, y) - np.float32(0.37))
    return distance


def hexagon(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of a regular hexagon."""
    x, y = np.abs(x), np.abs(y)
    distance: Plane = np.maximum(x * np.float32(math.sqrt(3) / 2) + y * np.float32(0.5), y) - np.float32(0.86)
    return distance


def heart(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of a heart: a square on its tip, and discs whose diameters are its upper sides."""
    half, top = 0.78, np.float32(0.1)
    x, y = np.abs(x), y - top
    tip = (x + np.abs(y) - np.float32(half)) * np.float32(math.sqrt(0.5))
    lobes = np.hypot(x - np.float32(half / 2), y + np.float32(half / 2)) - np.float32(half * math.sqrt(0.5))
    distance: Plane = np.minimum(tip, lobes)
    return distance


def diamond(x: Plane, y: Plane) -> Plane:
    """Return the implicit function of a rhombus, about twice as high as wide."""
    width, height = 0.62, 1.12
    distance: Plane = np.abs(x) * np.float32(height) + np.abs(y) * np.float32(width) - np.float32(width * height)
    return distance / np.float32(math.hypot(width, height))


OUTLINES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": disc,
    "square": square,
    "triangle": triangle,
    "star": star,
    "ring": ring,
    "cross": cross,
    "hexagon": hexagon,
    "heart": heart,
    "diamond": diamond,
}
