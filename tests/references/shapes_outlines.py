"""Outlines of the shapes world as polygons and circles, by the even-odd rule: slow, exact, float64."""

import math

Point = tuple[float, float]


def polygon(shape: str) -> list[Point]:
    """Return the corners of a straight-sided outline of radius one; y points down."""
    if shape == "square":
        return [(-0.78, -0.78), (0.78, -0.78), (0.78, 0.78), (-0.78, 0.78)]
    if shape == "triangle":
        return [(1.14 * math.sin(2 * math.pi * k / 3), -1.14 * math.cos(2 * math.pi * k / 3)) for k in range(3)]
    if shape == "star":
        radii = [1.14 if k % 2 == 0 else 0.54 for k in range(10)]
        return [(r * math.sin(math.pi * k / 5), r * math.cos(math.pi * k / 5)) for k, r in enumerate(radii)]
    if shape == "hexagon":
        radius = 0.86 / math.cos(math.pi / 6)
        return [(radius * math.cos(math.pi * k / 3), radius * math.sin(math.pi * k / 3)) for k in range(6)]
    if shape == "diamond":
        return [(0.62, 0.0), (0.0, 1.12), (-0.62, 0.0), (0.0, -1.12)]
    if shape == "heart":  # without its lobes
        return [(0.78, 0.1), (0.0, 0.88), (-0.78, 0.1), (0.0, -0.68)]
    long, thin = 1.02, 0.37
    quarter = [(thin, long), (thin, thin), (long, thin), (long, -thin), (thin, -thin), (thin, -long)]
    return [*quarter, *((-x, -y) for x, y in quarter)]


def is_inside(shape: str, x: float, y: float) -> bool:
    """Return whether a point lies inside the outline."""
    if shape == "disc":
        return x * x + y * y < 0.95**2
    if shape == "ring":
        return 0.44**2 < x * x + y * y < 1.02**2
    if shape == "heart" and any((x - side * 0.39) ** 2 + (y + 0.29) ** 2 < 0.39**2 * 2 for side in (-1, 1)):
        return True  # in a lobe: the circle whose diameter is an upper side of the square
    corners = polygon(shape)
    crossings = 0
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            crossings += 1
    return crossings % 2 == 1
