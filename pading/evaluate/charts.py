"""Charts as SVG text for a page: colours are the page's variables, so that they are right in light and in dark."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

from pading.evaluate.svg import path, scale, svg

PANEL_WIDTH, PANEL_HEIGHT = 330, 210
LEFT, RIGHT, TOP, BOTTOM = 42, 12, 26, 38
FOREST_WIDTH, FOREST_LABEL, FOREST_TEXT, ROW_HEIGHT = 860, 250, 170, 22
STYLE = """
:root { --seen: #2563c9; --unseen: #c2410c; --hm: #0b6e4f; }
@media (prefers-color-scheme: dark) { :root { --seen: #7fb0ff; --unseen: #ff9d66; --hm: #4fd1a1; } }
svg { max-width: 100%; height: auto; }
svg text { fill: var(--ink); font: 11.5px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .faint { fill: var(--faint); }
svg .title { font-weight: 600; }
svg .rule { stroke: var(--rule); }
svg .zero { stroke: var(--faint); }
svg .default { stroke: var(--faint); stroke-dasharray: 3 3; }
.panels { display: flex; flex-wrap: wrap; gap: .5rem; }
"""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value of a curve with its standard deviation over seeds and its interval over images; None: not known."""

    label: str
    value: float | None
    deviation: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A line of a forest chart."""

    label: str
    value: float
    low: float
    high: float
    text: str


def curve_panel(title: str, axis: str, points: Sequence[Point], *, colour: str, default: str) -> str:
    """Return one curve: dots at equal distances, a band for the interval, bars for the deviation.

    `colour` is a variable of STYLE without its dashes; the point labelled `default` has a dashed line.
    """
    known = [point for point in points if point.value is not None]
    reach = [bound for point in known for bound in _reach(point)]
    low, high, ticks = scale(min(reach, default=0.0), max(reach, default=1.0))
    step = (PANEL_WIDTH - LEFT - RIGHT) / max(len(points), 1)
    place = {point.label: LEFT + (number + 0.5) * step for number, point in enumerate(points)}

    def height(value: float) -> float:
        return TOP + (high - value) / (high - low) * (PANEL_HEIGHT - TOP - BOTTOM)

    parts = [f"<text class=title x={LEFT} y=15>{html.escape(title)}</text>"]
    for tick in ticks:
        level = f"{height(tick):.1f}"
        parts.append(f"<line class=rule x1={LEFT} x2={PANEL_WIDTH - RIGHT} y1={level} y2={level} />")
        parts.append(f"<text class=faint x={LEFT - 6} y={level} dy=4 text-anchor=end>{tick:g}</text>")
    for label, x in place.items():
        below = PANEL_HEIGHT - BOTTOM + 15
        parts.append(f"<text class=faint x={x:.1f} y={below} text-anchor=middle>{html.escape(label)}</text>")
        if label == default:
            parts.append(f"<line class=default x1={x:.1f} x2={x:.1f} y1={TOP} y2={PANEL_HEIGHT - BOTTOM} />")
    middle = (LEFT + PANEL_WIDTH - RIGHT) / 2
    parts.append(f"<text class=faint x={middle} y={PANEL_HEIGHT - 6} text-anchor=middle>{html.escape(axis)}</text>")
    paint = f"var(--{colour})"
    edge = [(place[point.label], height(point.high)) for point in known if point.high is not None]
    edge += [(place[point.label], height(point.low)) for point in reversed(known) if point.low is not None]
    if len(edge) > 2:
        parts.append(f"<polygon points='{path(edge)}' fill='{paint}' opacity=.14 />")
    dots = [(place[point.label], height(point.value)) for point in known if point.value is not None]
    parts.append(f"<polyline points='{path(dots)}' fill=none stroke='{paint}' stroke-width=1.6 />")
    for point, (x, y) in zip(known, dots, strict=True):
        if point.value is not None and point.deviation is not None:
            top, foot = height(point.value + point.deviation), height(point.value - point.deviation)
            parts.append(f"<line x1={x:.1f} x2={x:.1f} y1={top:.1f} y2={foot:.1f} stroke='{paint}' />")
        parts.append(
            f"<circle cx={x:.1f} cy={y:.1f} r=3 fill='{paint}'><title>{html.escape(point.label)}</title></circle>"
        )
    return svg(PANEL_WIDTH, PANEL_HEIGHT, parts, f"{title} by {axis}")


def forest_chart(title: str, differences: Sequence[Difference]) -> str:
    """Return one line a difference: a dot, its interval, and its text; the upright line is no difference."""
    low = min([0.0, *(one.low for one in differences)])
    high = max([0.0, *(one.high for one in differences)])
    low, high, ticks = scale(low, high)
    bottom = TOP + ROW_HEIGHT * len(differences)

    def across(value: float) -> float:
        return FOREST_LABEL + (value - low) / (high - low) * (FOREST_WIDTH - FOREST_LABEL - FOREST_TEXT)

    parts = [f"<text class=title x=0 y=15>{html.escape(title)}</text>"]
    for tick in ticks:
        x = f"{across(tick):.1f}"
        kind = "zero" if tick == 0 else "rule"
        parts.append(f"<line class={kind} x1={x} x2={x} y1={TOP} y2={bottom} />")
        parts.append(f"<text class=faint x={x} y={bottom + 15} text-anchor=middle>{_signed(tick)}</text>")
    for number, one in enumerate(differences):
        y = TOP + ROW_HEIGHT * (number + 0.5)
        is_clear = one.low > 0 or one.high < 0
        paint = "var(--faint)" if not is_clear else "var(--hm)" if one.value > 0 else "var(--unseen)"
        ends = f"x1={across(one.low):.1f} x2={across(one.high):.1f} y1={y} y2={y}"
        parts += [
            f"<text x=0 y={y} dy=4>{html.escape(one.label)}</text>",
            f"<line {ends} stroke='{paint}' stroke-width=2.5 />",
            f"<circle cx={across(one.value):.1f} cy={y} r=4 fill='{paint}' />",
            f"<text class=faint x={FOREST_WIDTH} y={y} dy=4 text-anchor=end>{html.escape(one.text)}</text>",
        ]
    return svg(FOREST_WIDTH, bottom + 22, parts, title)


def _reach(point: Point) -> list[float]:
    value, deviation = point.value or 0.0, point.deviation or 0.0
    bounds = [value - deviation, value + deviation, point.low, point.high]
    return [bound for bound in bounds if bound is not None]


def _signed(tick: float) -> str:
    return f"{tick:+g}".replace("-", "\N{MINUS SIGN}") if tick else "0"
