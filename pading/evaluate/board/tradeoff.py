"""What a penalty on seen classes buys: each line's curve of unseen over seen quality, and the area under it (AUSUC)."""

import html
import math
from collections.abc import Sequence

from pading.evaluate.board.findings import Curve
from pading.evaluate.board.frame import HEIGHT, WIDTH, Frame
from pading.evaluate.board.labels import place_labels
from pading.evaluate.board.marks import Marks, drawn, line_key
from pading.evaluate.board.scatter import INSIDE
from pading.evaluate.leaderboard import NAMES
from pading.evaluate.svg import path, svg


def tradeoff(task: str, quality: str, curves: Sequence[Curve], marks: Marks) -> str:
    """Return the chart; the mark on a curve is where the penalty is nearest to none. Empty without a curve."""
    shown = sorted((curve for curve in curves if curve.seen), key=lambda curve: -_sortable(curve.area))
    if not shown:
        return ""
    every = [point for curve in shown for point in zip(curve.seen, curve.unseen, strict=True)]
    frame = Frame.around(every, NAMES[quality])
    starts = [min(range(len(curve.penalties)), key=lambda at: abs(curve.penalties[at])) for curve in shown]
    points = [frame.place(curve.seen[at], curve.unseen[at]) for curve, at in zip(shown, starts, strict=True)]
    texts = [_text(curve, marks) for curve in shown]
    parts = frame.background()
    for curve in shown:
        mark = marks.mark(curve.method, curve.profile)
        line = path([frame.place(*point) for point in zip(curve.seen, curve.unseen, strict=True)])
        dashes = " stroke-dasharray='5 3'" if mark.is_hollow else ""
        title = f"<title>{html.escape(_text(curve, marks))}</title>"
        drawing = f"<polyline class=curve points='{line}' stroke='{mark.paint}'{dashes}>{title}</polyline>"
        parts.append(f"<g {line_key(curve.method, curve.profile)}>{drawing}</g>")
    for curve, (x, y), text, place in zip(shown, points, texts, place_labels(points, texts, INSIDE), strict=True):
        title = f"{text}; no penalty: seen and unseen as in the table"
        name = (
            f"<text x={place[0]:.1f} y={place[1]:.1f} text-anchor={place[2]}>{html.escape(text)}</text>"
            if place
            else ""
        )
        mark = marks.mark(curve.method, curve.profile)
        parts.append(f"<g {line_key(curve.method, curve.profile)}>{drawn(mark, x, y, 4.5, title)}{name}</g>")
    description = f"{task}: unseen over seen {NAMES[quality]} as a penalty on seen classes grows, {len(shown)} curves"
    return svg(WIDTH, HEIGHT, parts, description)


def _text(curve: Curve, marks: Marks) -> str:
    name = marks.label(curve.method, curve.profile)
    return f"{name} {curve.area:.1f}" if math.isfinite(curve.area) else name


def _sortable(area: float) -> float:
    return area if math.isfinite(area) else -math.inf
