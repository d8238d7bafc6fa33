"""The table of a task: a row a line, mean and deviation over seeds, intervals; and a table of published figures."""

import html
import math
from collections.abc import Mapping, Sequence

from pading.evaluate.board.marks import Marks, chip, line_key
from pading.evaluate.leaderboard import AREA, NAMES, SIDES, Line, Score, marked_name, shown_columns
from pading.evaluate.published import PublishedRow

SIDE_NAMES = {"seen": "seen", "unseen": "unseen", "hm": "HM", AREA: "AUSUC"}
# Prefix of a metric, and what it means.
VIEWS = {
    "zsi": "unseen classes alone",
    "things": "things",
    "stuff": "stuff",
    "zero": "absent classes as 0",
}


def score_table(task: str, lines: Sequence[Line], marks: Marks) -> str:
    """Return the lines in the order given; the script of the page lets columns be sorted and rows be filtered."""
    groups: dict[str, list[str]] = {}
    for column in shown_columns(task, lines):
        groups.setdefault(NAMES[column.split("/")[0]], []).append(column)
    return _table("sortable filtered scores", task, lines, groups, marks)


def views_table(task: str, quality: str, lines: Sequence[Line], marks: Marks) -> str:
    """Return the quality that a task is judged by under the other protocols; empty if none was measured."""
    groups = {
        title: [
            column
            for column in (f"{view}/{quality}/{side}" for side in SIDES)
            if any(column in line.scores and math.isfinite(line.scores[column].mean) for line in lines)
        ]
        for view, title in VIEWS.items()
    }
    shown = {title: columns for title, columns in groups.items() if columns}
    return _table("sortable filtered", task, lines, shown, marks) if shown else ""


def published_table(rows: Sequence[PublishedRow], quality: str) -> str:
    """Return figures that others published in one quality; empty if there are none."""
    body = []
    for row in rows:
        if quality in row.qualities:
            values = "".join(number_cell(value) for value in row.qualities[quality])
            body.append(
                f"<tr><td>{html.escape(row.row)}</td><td class=name>{html.escape(row.source)}</td>{values}</tr>"
            )
    names = [
        ("as printed", "text"),
        ("source", "text"),
        *((SIDE_NAMES[side], "number") for side in ("seen", "unseen", "hm")),
    ]
    head = "".join(_head(name, at, kind) for at, (name, kind) in enumerate(names))
    table = f"<table class=sortable><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f"<div class=wide>{table}</div>" if body else ""


def number_cell(value: float | None, kind: str = "") -> str:
    """Return a cell with one decimal, a dash where there is no value."""
    attribute = f" class={kind}" if kind else ""
    if value is None or not math.isfinite(value):
        return f"<td{attribute} data-value=''>–</td>"
    return f"<td{attribute} data-value='{value:.6g}'>{value:.1f}</td>"


_IDENTITY = (("method", "text"), ("profile", "text"), ("seeds", "number"))


def _head(name: str, at: int, kind: str, column: str = "") -> str:
    rows = " rowspan=2" if (name, kind) in _IDENTITY else ""
    spoken = f' aria-label="{html.escape(column.replace("/", " "), quote=True)}"' if column else ""
    return f"<th scope=col{rows} data-column={at} data-kind={kind}{spoken}>{html.escape(name)}</th>"


def _table(kind: str, task: str, lines: Sequence[Line], groups: Mapping[str, Sequence[str]], marks: Marks) -> str:
    """Return a table of lines whose columns stand in groups with headings of their own."""
    columns = [column for group in groups.values() for column in group]
    first = [_head(name, at, kind) for at, (name, kind) in enumerate(_IDENTITY)]
    above = [
        f"<th colspan={len(group)} scope=colgroup class=span>{html.escape(title)}</th>"
        for title, group in groups.items()
    ]
    below = [
        _head(SIDE_NAMES[column.rsplit("/", 1)[1]], at, "number", column)
        for at, column in enumerate(columns, start=len(_IDENTITY))
    ]
    head = f"<tr>{''.join(first)}{''.join(above)}</tr><tr>{''.join(below)}</tr>"
    rows = "\n".join(_row(line, columns, marks) for line in lines)
    return (
        f"<div class=wide><table class='{kind}' data-task='{html.escape(task, quote=True)}'>"
        f"<thead>{head}</thead>\n<tbody>{rows}</tbody></table></div>"
    )


def _row(line: Line, columns: Sequence[str], marks: Marks) -> str:
    name = f"<td>{chip(marks.mark(line.method, line.profile))}{html.escape(marked_name(line))}</td>"
    profile = f"<td class=name>{html.escape(line.profile)}</td><td data-value={line.num_seeds}>{line.num_seeds}</td>"
    scores = "".join(_score_cell(line.scores[column], line.num_seeds) for column in columns)
    return f"<tr {line_key(line.method, line.profile)}>{name}{profile}{scores}</tr>"


def _score_cell(score: Score, num_seeds: int) -> str:
    if not math.isfinite(score.mean):
        return number_cell(None)
    deviation = f" <small>± {score.deviation:.1f}</small>" if num_seeds > 1 else ""
    interval = f"<small class=interval>[{score.low:.1f}, {score.high:.1f}]</small>" if score.has_interval else ""
    best = " class=best" if score.is_best else ""
    return f"<td{best} data-value='{score.mean:.6g}'>{score.mean:.1f}{deviation}{interval}</td>"
