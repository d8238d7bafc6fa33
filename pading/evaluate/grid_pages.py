"""Pages of the grids by which constants were chosen: what each value of lambda and of gamma gave, with the other fixed.

The numbers compare settings on held-out seen classes; they are no results.
"""

import html
import math
from collections.abc import Mapping, Sequence

from pading.evaluate.charts import STYLE as CHART_STYLE
from pading.evaluate.charts import Point, curve_panel
from pading.evaluate.grid import GridPoint, best_point
from pading.evaluate.page import document

Grids = Mapping[tuple[str, str], Sequence[GridPoint]]  # by method and profile
SIDES = ("seen", "unseen", "hm")
TITLE = "Constants chosen on held-out seen classes"
NOTE = (
    "Seen classes held out take the part of unseen ones; no truly unseen class occurs in truth, text or fit. "
    "The numbers compare settings and predict no result."
)


def through(points: Sequence[GridPoint], along: str) -> list[GridPoint]:
    """Return the points along one constant, "weight" or "seen_penalty", where the other is the best one's."""
    other = "seen_penalty" if along == "weight" else "weight"
    best = best_point(points)
    return [point for point in points if getattr(point, other) == getattr(best, other)]


def grid_markdown(grids: Grids) -> str:
    """Return one table a row and constant."""
    lines = [f"# {TITLE}", "", NOTE]
    for (method, profile), points in grids.items():
        best = best_point(points)
        lines += ["", f"## {method} ({profile}): lambda {best.weight:.2f}, gamma {best.seen_penalty:g}"]
        for along, symbol in _constants(points):
            lines += ["", f"| {symbol} | seen | unseen | hm |", "|---|---|---|---|"]
            for point in through(points, along):
                values = " | ".join(f"{getattr(point, side):.1f}" for side in SIDES)
                lines.append(f"| {getattr(point, along):.3g} | {values} |")
    return "\n".join(lines) + "\n"


def grid_page(grids: Grids) -> str:
    """Return the same as curves: the dashed line is the chosen value."""
    parts = [f"<p>{NOTE}</p>"]
    for (method, profile), points in grids.items():
        best = best_point(points)
        parts.append(f"<h2>{html.escape(f'{method} ({profile})')}</h2><div class=panels>")
        for along, symbol in _constants(points):
            line = through(points, along)
            for side in SIDES:
                dots = [_dot(f"{getattr(one, along):.3g}", getattr(one, side)) for one in line]
                chosen = f"{getattr(best, along):.3g}"
                parts.append(curve_panel(side, symbol, dots, colour=side, default=chosen))
        parts.append("</div>")
    return document(TITLE, parts, CHART_STYLE)


def _dot(label: str, value: float) -> Point:
    return Point(label=label, value=value if math.isfinite(value) else None, deviation=None, low=None, high=None)


def _constants(points: Sequence[GridPoint]) -> list[tuple[str, str]]:
    """Return the constants that a grid varies."""
    both = (("weight", "lambda"), ("seen_penalty", "gamma"))
    return [(name, symbol) for name, symbol in both if len({getattr(point, name) for point in points}) > 1]
