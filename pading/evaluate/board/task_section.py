"""The part of the page about one task: table, charts, comparisons, classes."""

import html
from collections.abc import Sequence

from pading.evaluate.board.board import Board
from pading.evaluate.board.class_tables import class_values, compared_bars, every_class
from pading.evaluate.board.forest import forest
from pading.evaluate.board.marks import Marks
from pading.evaluate.board.scatter import published_scatter, scatter
from pading.evaluate.board.score_table import published_table, score_table, views_table
from pading.evaluate.board.tradeoff import tradeoff
from pading.evaluate.leaderboard import NAMES, SORT_COLUMNS, Line
from pading.evaluate.published import published_beside

PUBLISHED = (
    "Published by others, measured on COCO with larger networks: not comparable with the numbers above. "
    "It shows which way a better method moves."
)


def judged_by(task: str) -> str:
    """Return the quality whose harmonic mean decides the order of a task."""
    return SORT_COLUMNS.get(task, "pq/hm").split("/")[0]


def task_section(task: str, lines: Sequence[Line], board: Board, marks: Marks) -> list[str]:
    """Return the section of a task; parts that were not measured are left out."""
    quality = judged_by(task)
    charts = [_scatter(task, quality, lines, marks), _tradeoff(task, quality, board, marks)]
    return [
        f"<section id='{html.escape(task, quote=True)}' class=task><h2>{html.escape(task)}</h2>",
        f"<p class=faint>Judged by {NAMES[quality]}; best harmonic mean first. Bold: best of a column.</p>",
        score_table(task, lines, marks),
        f"<div class=charts>{''.join(charts)}</div>",
        _comparisons(task, quality, lines, board, marks),
        _classes(task, quality, lines, board, marks),
        _views(task, quality, lines, marks),
        _published(task, quality, board.split),
        "</section>",
    ]


def _scatter(task: str, quality: str, lines: Sequence[Line], marks: Marks) -> str:
    has_intervals = any(line.scores[f"{quality}/unseen"].has_interval for line in lines)
    bars = "95 % interval over images" if has_intervals else "standard deviation over seeds"
    caption = f"Up and to the right is better. Bars: {bars}. Dashed: equal harmonic mean (HM)."
    return _figure("Seen against unseen", scatter(task, quality, lines, marks), caption)


def _tradeoff(task: str, quality: str, board: Board, marks: Marks) -> str:
    curves = [curve for curve in board.curves or () if curve.task == task and curve.quality == quality]
    chart = tradeoff(task, quality, curves, marks)
    caption = (
        "A penalty on the scores of seen classes moves a method along its curve; the mark is where there is none. "
        "Numbers: area under the curve (AUSUC)."
    )
    return _figure("What a penalty on seen classes buys", chart, caption) if chart else ""


def _comparisons(task: str, quality: str, lines: Sequence[Line], board: Board, marks: Marks) -> str:
    wanted = [one for one in board.comparisons or () if one.quality == quality]
    chart = forest(task, wanted, lines, marks)
    if not chart:
        return ""
    caption = (
        f"{NAMES[quality]} of the first minus that of the other, on the same images and seeds, with 95 % intervals "
        "over images. Grey: the interval holds zero, so these images cannot tell. “First is better”: share of redrawn "
        "sets of images on which it is. The axis is a square root."
    )
    return f"<h3>Is A better than B?</h3>{chart}<p class=caption>{caption}</p>"


def _classes(task: str, quality: str, lines: Sequence[Line], board: Board, marks: Marks) -> str:
    if board.class_scores is None:
        return ""
    classes = board.class_scores.classes
    values = class_values(board.class_scores, task, quality, lines)
    if not values:
        return ""
    return (
        f"<h3>Class by class</h3><p class=faint>{NAMES[quality]} of each class; unseen classes come first, are hatched "
        f"and marked *.</p>{compared_bars(task, classes, values)}"
        f"<details><summary>Every method and class</summary>{every_class(classes, values, lines, marks)}</details>"
    )


def _views(task: str, quality: str, lines: Sequence[Line], marks: Marks) -> str:
    table = views_table(task, quality, lines, marks)
    text = (
        f"{NAMES[quality]} measured otherwise. Unseen classes alone: nothing seen may be predicted, and only unseen "
        "classes are judged (plain zero-shot). Things and stuff: means over these classes only. Absent classes as 0: a "
        "class that no image holds and no method names counts as 0, as in the released evaluation of PADing."
    )
    title = "<summary>Other protocols</summary>"
    return f"<details>{title}<p class=caption>{text}</p>{table}</details>" if table else ""


def _published(task: str, quality: str, split: str) -> str:
    rows = published_beside(task, split)
    chart, table = published_scatter(rows, quality), published_table(rows, quality)
    if not chart:
        return ""
    title = f"What others published ({NAMES[quality]}, COCO)"
    shown = f"<div class=charts><figure>{chart}</figure><div>{table}</div></div><p class=caption>{PUBLISHED}</p>"
    return f"<details class=published><summary>{title}</summary>{shown}</details>"


def _figure(title: str, chart: str, caption: str) -> str:
    return f"<figure><h3>{title}</h3>{chart}<figcaption>{caption}</figcaption></figure>"
