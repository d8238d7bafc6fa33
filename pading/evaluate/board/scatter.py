"""Seen against unseen quality of every line of a table, with intervals; and of what others published."""

import html
import math
from collections.abc import Sequence

from pading.evaluate.board.frame import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Frame
from pading.evaluate.board.labels import place_labels
from pading.evaluate.board.marks import Marks, drawn, line_key
from pading.evaluate.leaderboard import NAMES, Line, Score
from pading.evaluate.published import PublishedRow
from pading.evaluate.svg import svg

INSIDE = (LEFT + 2, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)


def scatter(task: str, quality: str, lines: Sequence[Line], marks: Marks) -> str:
    """Return the chart of a task; a line without both values is not on it."""
    shown = [line for line in lines if all(math.isfinite(_score(line, quality, side).mean) for side in _SIDES)]
    reach = [
        (seen, unseen)
        for line in shown
        for seen in _reach(_score(line, quality, "seen"))
        for unseen in _reach(_score(line, quality, "unseen"))
    ]
    frame = Frame.around(reach, NAMES[quality])
    points = [frame.place(*(_score(line, quality, side).mean for side in _SIDES)) for line in shown]
    texts = [marks.label(line.method, line.profile) for line in shown]
    bars, dots = [], []
    for line, (x, y), text, label in zip(shown, points, texts, place_labels(points, texts, INSIDE), strict=True):
        mark = marks.mark(line.method, line.profile)
        seen, unseen = (_score(line, quality, side) for side in _SIDES)
        left, right = (frame.place(value, unseen.mean)[0] for value in _reach(seen))
        low, high = (frame.place(seen.mean, value)[1] for value in _reach(unseen))
        key = line_key(line.method, line.profile)
        bars.append(
            f"<g {key} class=bars stroke='{mark.paint}'><line x1={left:.1f} x2={right:.1f} y1={y:.1f} y2={y:.1f} />"
            f"<line x1={x:.1f} x2={x:.1f} y1={low:.1f} y2={high:.1f} /></g>"
        )
        dots.append(f"<g {key}>{drawn(mark, x, y, 5, _spoken(line, quality))}{_label(text, label)}</g>")
    description = f"{task}: {NAMES[quality]} on unseen over seen classes, a point for each of {len(shown)} lines"
    return svg(WIDTH, HEIGHT, [*frame.background(), *bars, *dots], description)


def published_scatter(rows: Sequence[PublishedRow], quality: str) -> str:
    """Return the same chart of figures that others published; empty if there are none."""
    values = [(row, row.qualities[quality]) for row in rows if quality in row.qualities]
    known = [
        (row, groups.seen, groups.unseen)
        for row, groups in values
        if groups.seen is not None and groups.unseen is not None
    ]
    if not known:
        return ""
    frame = Frame.around([(seen, unseen) for _, seen, unseen in known], NAMES[quality])
    points = [frame.place(seen, unseen) for _, seen, unseen in known]
    texts = [f"{row.row} (code)" if "released" in row.source else row.row for row, _, _ in known]
    parts = frame.background()
    places = place_labels(points, texts, INSIDE)
    for (row, seen, unseen), (x, y), text, label in zip(known, points, texts, places, strict=True):
        title = html.escape(f"{row.row}: {seen:g} seen, {unseen:g} unseen; {row.source}")
        corners = f"{x:.1f},{y - 6:.1f} {x + 6:.1f},{y:.1f} {x:.1f},{y + 6:.1f} {x - 6:.1f},{y:.1f}"
        parts.append(
            f"<polygon class=published points='{corners}'><title>{title}</title></polygon>{_label(text, label)}"
        )
    return svg(WIDTH, HEIGHT, parts, f"published on {known[0][0].benchmark}: {NAMES[quality]}")


_SIDES = ("seen", "unseen")


def _score(line: Line, quality: str, side: str) -> Score:
    return line.scores[f"{quality}/{side}"]


def _reach(score: Score) -> tuple[float, float]:
    """Return the interval over images if there is one, else a standard deviation to each side."""
    if score.has_interval:
        return score.low, score.high
    return score.mean - score.deviation, score.mean + score.deviation


def _spoken(line: Line, quality: str) -> str:
    values = "; ".join(_words(_score(line, quality, side), side) for side in (*_SIDES, "hm"))
    return f"{line.key}: {values}"


def _words(score: Score, side: str) -> str:
    name = "harmonic mean" if side == "hm" else side
    interval = f" [{score.low:.1f}, {score.high:.1f}]" if score.has_interval else ""
    return f"{name} {score.mean:.1f} ± {score.deviation:.1f}{interval}"


def _label(text: str, place: tuple[float, float, str] | None) -> str:
    if place is None:
        return ""
    x, y, anchor = place
    return f"<text x={x:.1f} y={y:.1f} text-anchor={anchor}>{html.escape(text)}</text>"
