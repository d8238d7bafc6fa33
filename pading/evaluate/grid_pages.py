"""Pages of grids of constants: what each value of lambda and of gamma gave, with the other fixed."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pading.evaluate.charts import STYLE as CHART_STYLE
from pading.evaluate.charts import Point, curve_panel
from pading.evaluate.grid import GridPoint, best_point
from pading.evaluate.page import document

Row = tuple[str, str]  # method and profile
SIDES = ("seen", "unseen", "hm")


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Grids of rows, each with the point where the curves through it cross; and what their page is to say."""

    title: str
    note: str
    grids: Mapping[Row, Sequence[GridPoint]]
    crossings: Mapping[Row, GridPoint]


def chosen_curves(grids: Mapping[Row, Sequence[GridPoint]]) -> Curves:
    """Return grids by which constants were chosen on held-out seen classes; curves cross at the choice."""
    return Curves(
        title="Constants chosen on held-out seen classes",
        note="Seen classes held out take the part of unseen ones; no truly unseen class occurs in truth, text or fit. "
        "The numbers compare settings and predict no result.",
        grids=grids,
        crossings={row: best_point(points) for row, points in grids.items()},
    )


def through(points: Sequence[GridPoint], along: str, crossing: GridPoint) -> list[GridPoint]:
    """Return the points along one constant, "weight" or "seen_penalty", where the other is that of a point."""
    other = "seen_penalty" if along == "weight" else "weight"
    return [point for point in points if getattr(point, other) == getattr(crossing, other)]


def grid_markdown(curves: Curves) -> str:
    """Return one table a row and constant."""
    lines = [f"# {curves.title}", "", curves.note]
    for (method, profile), points in curves.grids.items():
        at = curves.crossings[method, profile]
        lines += ["", f"## {method} ({profile}): lambda {at.weight:.2f}, gamma {at.seen_penalty:g}"]
        for along, symbol in _constants(points):
            lines += ["", f"| {symbol} | seen | unseen | hm |", "|---|---|---|---|"]
            for point in through(points, along, at):
                values = " | ".join(_shown(getattr(point, side)) for side in SIDES)
                lines.append(f"| {getattr(point, along):.3g} | {values} |")
    return "\n".join(lines) + "\n"


def grid_page(curves: Curves) -> str:
    """Return the same as curves: the dashed line is where those of a row cross."""
    parts = [f"<p>{html.escape(curves.note)}</p>"]
    for (method, profile), points in curves.grids.items():
        at = curves.crossings[method, profile]
        parts.append(f"<h2>{html.escape(f'{method} ({profile})')}</h2><div class=panels>")
        for along, symbol in _constants(points):
            line = through(points, along, at)
            for side in SIDES:
                dots = [_dot(f"{getattr(one, along):.3g}", getattr(one, side)) for one in line]
                parts.append(curve_panel(side, symbol, dots, colour=side, default=f"{getattr(at, along):.3g}"))
        parts.append("</div>")
    return document(curves.title, parts, CHART_STYLE)


def _shown(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"


def _dot(label: str, value: float) -> Point:
    return Point(label=label, value=value if math.isfinite(value) else None, deviation=None, low=None, high=None)


def _constants(points: Sequence[GridPoint]) -> list[tuple[str, str]]:
    """Return the constants that a grid varies."""
    both = (("weight", "lambda"), ("seen_penalty", "gamma"))
    return [(name, symbol) for name, symbol in both if len({getattr(point, name) for point in points}) > 1]
