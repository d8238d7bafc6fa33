"""The leaderboard as one HTML page. It is complete without its script, which sorts, filters and compares."""

import html
import math
from importlib.resources import files
from typing import Any

from pading.evaluate.board.board import Board
from pading.evaluate.board.class_tables import class_values
from pading.evaluate.board.feature_planes import FeaturePlanes, GeneratorOnPlane, draw_plane
from pading.evaluate.board.marks import Marks, chip, variables
from pading.evaluate.board.pictures import picture_grid
from pading.evaluate.board.reading import FEATURES, PICTURES, footer, guide
from pading.evaluate.board.task_section import judged_by, task_section
from pading.evaluate.leaderboard import NAMES, Line, marked_name, tables
from pading.evaluate.page import data_block, document

TITLE = "Leaderboard"


def board_page(board: Board) -> str:
    """Return the page."""
    by_task = tables(board.rows)
    marks = Marks.of((row["method"], row["profile"]) for row in board.rows)
    links = {task: task for task in by_task}
    links |= {"pictures": "pictures"} if board.panels else {}
    links |= {"features": "features"} if board.planes else {}
    body = [
        _lead(board),
        _tiles(by_task, marks),
        guide(),
        _bar(links | {"notes": "notes"}),
    ]
    for task, lines in by_task.items():
        body += task_section(task, lines, board, marks)
    if board.panels is not None:
        body += ["<section id=pictures><h2>Pictures</h2>", f"<p class=faint>{PICTURES}</p>"]
        body += [picture_grid(board.panels), "</section>"]
    if board.planes is not None:
        body += _features(board.planes, marks)
    parts = (
        ("scores class by class", board.class_scores),
        ("trade-off curves", board.curves),
        ("paired comparisons", board.comparisons),
        ("pictures", board.panels),
        ("features of generators", board.planes),
    )
    missing = [name for name, found in parts if found is None]
    body += footer(board.notes, any(row.get("leaky", False) for row in board.rows), missing)
    body.append(data_block("board-data", _for_script(board, by_task)))
    here = files("pading.evaluate.board")
    style, tables_script, script = (
        (here / name).read_text(encoding="utf-8") for name in ("board.css", "tables.js", "board.js")
    )
    colours = (
        f":root {{ {variables(dark=False)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(dark=True)} }} }}\n"
    )
    return document(TITLE, body, colours + style, f"{tables_script}\n{script}")


def _lead(board: Board) -> str:
    seeds = len({row["seed"] for row in board.rows})
    split = f"split {html.escape(board.split)} · " if board.split else ""
    return f"<p class=lead>Zero-shot segmentation · {split}{seeds} seed{'s' * (seeds != 1)}</p>"


def _tiles(by_task: dict[str, list[Line]], marks: Marks) -> str:
    """Return the winner of each task, large."""
    tiles = []
    for task, lines in by_task.items():
        quality, first = judged_by(task), lines[0]
        seen, unseen, mean = (first.scores[f"{quality}/{side}"].mean for side in ("seen", "unseen", "hm"))
        if math.isfinite(mean):
            sign = chip(marks.mark(first.method, first.profile))
            sides = f"{seen:.1f} seen, {unseen:.1f} unseen"
            tiles.append(
                f"<a class=tile href='#{html.escape(task, quote=True)}'><span>{html.escape(task)}</span>"
                f"<b>{mean:.1f}</b><span class=faint>{NAMES[quality]}, harmonic mean<br>{sides}</span>"
                f"<span>{sign}{html.escape(marked_name(first))}</span></a>"
            )
    return f"<div class=tiles>{''.join(tiles)}</div>" if tiles else ""


def _bar(links: dict[str, str]) -> str:
    """Return the bar that stays at the top; its filters are made by the script, which alone can use them."""
    anchors = "".join(
        f"<a href='#{html.escape(target, quote=True)}'>{html.escape(name)}</a>" for target, name in links.items()
    )
    return f"<div class=bar><nav aria-label=Sections>{anchors}</nav><div id=filters></div></div>"


def _features(planes: FeaturePlanes, marks: Marks) -> list[str]:
    drawings = "".join(_plane(planes, one, marks) for one in planes.generators)
    return [
        "<section id=features><h2>Features</h2>",
        f"<p class=faint>{FEATURES}</p>",
        f"<div class=planes>{drawings}</div></section>",
    ]


def _plane(planes: FeaturePlanes, one: GeneratorOnPlane, marks: Marks) -> str:
    caption = "" if one.own_nearest is None else f"{one.own_nearest:.0f} % of crosses are nearest to their own class"
    title = f"{chip(marks.mark(one.method, one.profile))}{html.escape(marks.label(one.method, one.profile))}"
    return f"<figure><h3>{title}</h3>{draw_plane(planes, one)}<figcaption>{caption}</figcaption></figure>"


def _for_script(board: Board, by_task: dict[str, list[Line]]) -> dict[str, Any]:
    """Return what the script cannot read from the page: class by class values of lines that have no bars yet."""
    classes: dict[str, dict[str, Any]] = {}
    if board.class_scores is not None:
        for task, lines in by_task.items():
            classes[task] = class_values(board.class_scores, task, judged_by(task), lines)
    return {"rows": list(board.rows), "classes": classes}
