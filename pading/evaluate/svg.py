"""Pieces of charts as SVG text: the frame, round scales, paths."""

import html
import math
from collections.abc import Sequence


def svg(width: int, height: int, parts: Sequence[str], description: str) -> str:
    """Return a drawing of `parts`, with a description for those who cannot see it."""
    label = html.escape(description, quote=True)
    return f'<svg viewBox="0 0 {width} {height}" width={width} role=img aria-label="{label}">{"".join(parts)}</svg>'


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return points as polylines and polygons take them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Return round bounds that hold a range, and four to eight round ticks from one to the other."""
    span = high - low if high > low else max(abs(high), 1.0)
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return first * step, last * step, [round(number * step, 10) for number in range(first, last + 1)]
