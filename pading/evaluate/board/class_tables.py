"""Class by class: two lines beside each other as bars, and all lines of a task as a table of colours."""

import html
import math
from collections.abc import Sequence

from pading.evaluate.board.findings import ClassName, ClassScores
from pading.evaluate.board.marks import Marks, chip, line_key
from pading.evaluate.board.score_table import number_cell
from pading.evaluate.leaderboard import Line

Values = tuple[float | None, ...]


def class_values(scores: ClassScores, task: str, quality: str, lines: Sequence[Line]) -> dict[str, Values]:
    """Return the values of each line that was measured class by class, in the order of the lines."""
    found = {}
    for line in lines:
        values = scores.lines.get((task, line.method, line.profile), {}).get(quality)
        if values is not None:
            found[line.key] = values
    return found


def shown_order(classes: Sequence[ClassName], values: dict[str, Values]) -> list[int]:
    """Return indices of classes for which a line has a value: unseen ones first, in each group by the first line."""
    first = next(iter(values.values()))

    def rank(at: int) -> tuple[bool, float, str]:
        value = first[at]
        return classes[at].is_seen, math.inf if value is None else -value, classes[at].name

    return sorted((at for at in range(len(classes)) if any(line[at] is not None for line in values.values())), key=rank)


def compared_bars(task: str, classes: Sequence[ClassName], values: dict[str, Values]) -> str:
    """Return bars of the first two lines (of one, if there is one); the page's script lets the reader choose others."""
    first, second = (list(values) * 2)[:2]
    heads = [("class", "text"), (first, "number"), (second, "number"), ("difference", "number")]
    head = "".join(
        f"<th scope=col data-column={at} data-kind={kind}>{html.escape(name)}</th>"
        for at, (name, kind) in enumerate(heads)
    )
    rows = []
    for at in shown_order(classes, values):
        one, other = values[first][at], values[second][at]
        difference = one - other if one is not None and other is not None else None
        cells = f"{_bar(one)}{_bar(other)}<td class=difference{_data(difference)}>{_signed(difference)}</td>"
        rows.append(f"<tr data-class={at} class={_kind(classes[at])}><td>{_named(classes[at])}</td>{cells}</tr>")
    return (
        f"<div class='wide tall'><table class='sortable compared' data-task='{html.escape(task, quote=True)}' "
        f'data-first="{html.escape(first, quote=True)}" data-second="{html.escape(second, quote=True)}">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{''.join(rows)}</tbody></table></div>"
    )


def every_class(classes: Sequence[ClassName], values: dict[str, Values], lines: Sequence[Line], marks: Marks) -> str:
    """Return a table of classes by lines whose cells are the darker the higher the value."""
    shown = [line for line in lines if line.key in values]
    heads = ["<th scope=col data-column=0 data-kind=text>class</th>"]
    for at, line in enumerate(shown, start=1):
        name = html.escape(marks.label(line.method, line.profile))
        sign = chip(marks.mark(line.method, line.profile))
        key = line_key(line.method, line.profile)
        heads.append(f"<th scope=col data-column={at} data-kind=number {key}>{sign}{name}</th>")
    rows = []
    for at in shown_order(classes, values):
        cells = "".join(_shaded(values[line.key][at]) for line in shown)
        rows.append(f"<tr class={_kind(classes[at])}><td>{_named(classes[at])}</td>{cells}</tr>")
    table = f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>{''.join(rows)}</tbody>"
    return f"<div class=wide><table class='sortable shaded'>{table}</table></div>"


def _named(one: ClassName) -> str:
    return html.escape(one.name) if one.is_seen else f"{html.escape(one.name)} *"


def _kind(one: ClassName) -> str:
    return "seen" if one.is_seen else "unseen"


def _bar(value: float | None) -> str:
    if value is None:
        return "<td class=bar data-value=''>–</td>"
    return f"<td class=bar{_data(value)}><i style='width:{value:.1f}%'></i><b>{value:.1f}</b></td>"


def _shaded(value: float | None) -> str:
    cell = number_cell(value)
    return cell if value is None else cell.replace("<td", f"<td style='--share:{value:.0f}%'", 1)


def _data(value: float | None) -> str:
    return " data-value=''" if value is None else f" data-value='{value:.6g}'"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
