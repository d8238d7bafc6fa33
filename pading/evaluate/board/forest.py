"""Is one line better than another? Paired comparisons as a forest: the difference, its interval, how sure it is."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from pading.evaluate.board.findings import Difference, PairedComparison
from pading.evaluate.board.marks import Marks, chip
from pading.evaluate.leaderboard import Line

TICKS = (1, 2, 5, 10, 20, 50, 100)
NEAREST_TICKS = 9.0  # percent of the axis


def forest(task: str, comparisons: Sequence[PairedComparison], lines: Sequence[Line], marks: Marks) -> str:
    """Return a table of comparisons with a whisker each, in the order of the lines; empty if none has a value."""
    rank = {(line.method, line.profile): at for at, line in enumerate(lines)}
    shown = sorted(
        (one for one in comparisons if one.task == task and "hm" in one.groups),
        key=lambda one: [rank.get(line, len(rank)) for line in (one.first, one.second)],
    )
    if not shown:
        return ""
    axis = _Axis.around([bound for one in shown for bound in (one.groups["hm"].low, one.groups["hm"].high)])
    ticks = "".join(f"<span style='left:{at:.1f}%'>{_signed(tick, 'g')}</span>" for tick, at in axis.ticks())
    heads = [
        ("text", "first"),
        ("text", "against"),
        ("number", "difference in HM"),
        ("", f"<div class=ticks>{ticks}</div>"),
        ("number", "first is better"),
        ("number", "in seeds"),
        ("number", "unseen"),
        ("number", "seen"),
    ]
    head = "".join(_head(at, kind, text) for at, (kind, text) in enumerate(heads))
    rows = "".join(_row(one, marks, axis) for one in shown)
    return (
        "<div class='wide tall'><table class='sortable filtered forest'>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )


def verdict(found: Difference) -> str:
    """Return what an interval says: better or worse where it does not hold zero, else that nobody can tell."""
    return "better" if found.low > 0 else "worse" if found.high < 0 else "unclear"


class _Axis(NamedTuple):
    """Differences as percent of a width; square roots, because a few large ones would hide all others."""

    low: float
    high: float

    @staticmethod
    def around(values: Sequence[float]) -> "_Axis":
        low, high = min(0.0, *values), max(0.0, *values)
        room = 0.04 * ((_root(high) - _root(low)) or 1.0)
        return _Axis(low=_root(low) - room, high=_root(high) + room)

    def share(self, value: float) -> float:
        return 100 * (_root(value) - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, float]]:
        """Return round values with their places, the ones nearest to zero dropped where they would touch another."""
        kept = [(0.0, self.share(0.0))]
        for tick in sorted((sign * tick for tick in TICKS for sign in (1, -1)), key=abs, reverse=True):
            at = self.share(tick)
            if 0 <= at <= 100 and all(abs(at - other) > NEAREST_TICKS for _, other in kept):
                kept.append((tick, at))
        return sorted(kept)


def _root(value: float) -> float:
    return math.copysign(math.sqrt(abs(value)), value)


def _head(at: int, kind: str, text: str) -> str:
    sortable = f" data-column={at} data-kind={kind}" if kind else " class=axis"
    return f"<th scope=col{sortable}>{text}</th>"


def _row(one: PairedComparison, marks: Marks, axis: _Axis) -> str:
    found = one.groups["hm"]
    names = "&#10;".join(
        html.escape(f"{method} ({profile})", quote=True) for method, profile in (one.first, one.second)
    )
    start, end, dot = (axis.share(value) for value in (found.low, found.high, found.difference))
    whisker = (
        f"<div class=whisker><span class=zero style='left:{axis.share(0.0):.1f}%'></span>"
        f"<span class=reach style='left:{start:.1f}%;width:{max(end - start, 0.3):.1f}%'></span>"
        f"<span class=dot style='left:{dot:.1f}%'></span></div>"
    )
    others = "".join(_difference(one.groups.get(side)) for side in ("unseen", "seen"))
    return (
        f'<tr class={verdict(found)} data-lines="{names}">'
        f"<td>{_line(one.first, marks)}</td><td class=name>{_line(one.second, marks)}</td>{_difference(found)}"
        f"<td class=axis data-value='{found.difference:.6g}'>{whisker}</td>"
        f"<td data-value='{found.probability_better:.6g}'>{100 * found.probability_better:.0f} %</td>"
        f"<td data-value='{found.seeds_better}'>{found.seeds_better} of {found.num_seeds}</td>{others}</tr>"
    )


def _line(line: tuple[str, str], marks: Marks) -> str:
    return f"{chip(marks.mark(*line))}{html.escape(marks.label(*line))}"


def _difference(found: Difference | None) -> str:
    if found is None:
        return "<td data-value=''>–</td>"
    interval = f"<small class=interval>[{_signed(found.low)}, {_signed(found.high)}]</small>"
    return f"<td data-value='{found.difference:.6g}'>{_signed(found.difference)}{interval}</td>"


def _signed(value: float, form: str = ".1f") -> str:
    return f"{value:+{form}}".replace("-", "\N{MINUS SIGN}") if value else "0"
