"""Leaderboard pages: the tables of `leaderboard.py` as Markdown, as a self-contained HTML page and for the terminal."""

import base64
import html
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pading.evaluate.leaderboard import (
    COLUMNS,
    Line,
    Score,
    check_rows,
    footnotes,
    marked_name,
    shown_columns,
    tables,
    write_whole,
)
from pading.evaluate.page import document

TERMINAL_COLUMNS = {
    "panoptic": ("pq/seen", "pq/unseen", "pq/hm", "sq/hm", "rq/hm"),
    "semantic": ("miou/seen", "miou/unseen", "miou/hm"),
    "instance": ("ap50/seen", "ap50/unseen", "ap50/hm", "recall100/hm"),
}

_STYLE = """
th:nth-child(2), td:nth-child(2) { text-align: left; }
img { max-width: 100%; image-rendering: pixelated; }
"""


def write_leaderboard(
    folder: Path, rows: Sequence[dict[str, Any]], notes: Sequence[str] = (), panels: Sequence[Path] = ()
) -> None:
    """Write `leaderboard.json`, `leaderboard.md` and `leaderboard.html`; panels are PNG files shown in the page.

    Raises:
        ValueError: if a row breaks the contract of `check_rows`; nothing is written then.
    """
    checked = check_rows(rows)
    pages = {
        "leaderboard.json": json.dumps(checked, indent=1) + "\n",
        "leaderboard.md": markdown_page(checked, notes),
        "leaderboard.html": html_page(checked, notes, panels),
    }
    for name, text in pages.items():
        write_whole(folder / name, text)


def markdown_page(rows: Sequence[dict[str, Any]], notes: Sequence[str] = ()) -> str:
    """Return the tables in Markdown: percent, mean +- standard deviation over seeds, the best of a column in bold."""
    parts = ["# Leaderboard"]
    for task, lines in tables(rows).items():
        columns = shown_columns(task, lines)
        table = [
            _markdown_row(["method", "profile", "seeds", *columns]),
            "|---|---|---:" + "|---:" * len(columns) + "|",
        ]
        for line in lines:
            cells = [_bold(_cell(line, column), line.scores[column]) for column in columns]
            table.append(_markdown_row([marked_name(line), line.profile, str(line.num_seeds), *cells]))
        parts += [f"## {task}", "\n".join(table)]
    legend = "Percent; mean ± standard deviation over seeds; hm is the harmonic mean."
    parts += ["\n".join([legend, *notes]), *footnotes(rows)]
    return "\n\n".join(parts) + "\n"


def html_page(rows: Sequence[dict[str, Any]], notes: Sequence[str] = (), panels: Sequence[Path] = ()) -> str:
    """Return the tables and pictures as one HTML page that asks nothing of the network."""
    body: list[str] = []
    for task, lines in tables(rows).items():
        columns = shown_columns(task, lines)
        head = "".join(f"<th>{html.escape(column)}</th>" for column in ["method", "profile", "seeds", *columns])
        body.append(f"<h2>{html.escape(task)}</h2>\n<div class=wide><table>\n<tr>{head}</tr>")
        body += [_html_row(line, columns) for line in lines]
        body.append("</table></div>")
    body.append("<p><small>Percent; mean ± standard deviation over seeds; hm is the harmonic mean.</small></p>")
    body += [f"<p class=warning>{html.escape(note)}</p>" for note in footnotes(rows)]
    body += [f"<p>{html.escape(note)}</p>" for note in notes]
    body += [_figure(panel) for panel in panels]
    return document("Leaderboard", body, _STYLE)


def terminal_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a plain-text table that fits a terminal; a star marks the best of a column."""
    parts = []
    for task, lines in tables(rows).items():
        columns = [column for column in shown_columns(task, lines) if column in TERMINAL_COLUMNS.get(task, COLUMNS)]
        grid = [["method", "profile", "seeds", *columns]]
        for line in lines:
            cells = [_cell(line, column) + ("*" if line.scores[column].is_best else " ") for column in columns]
            grid.append([marked_name(line), line.profile, str(line.num_seeds), *cells])
        widths = [max(len(row[column]) for row in grid) for column in range(len(grid[0]))]
        text = [
            "  ".join(
                cell.ljust(width) if at < 2 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in grid
        ]
        parts.append("\n".join([task, *(line.rstrip() for line in text)]))
    return "\n\n".join([*parts, *footnotes(rows)])


def _cell(line: Line, column: str) -> str:
    score = line.scores[column]
    if not math.isfinite(score.mean):
        return "-"
    deviation = f" ± {score.deviation:.1f}" if line.num_seeds > 1 else ""
    return f"{score.mean:.1f}{deviation}"


def _bold(text: str, score: Score) -> str:
    return f"**{text}**" if score.is_best else text


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _html_row(line: Line, columns: Sequence[str]) -> str:
    names = "".join(f"<td>{html.escape(text)}</td>" for text in (marked_name(line), line.profile, str(line.num_seeds)))
    scores = "".join(
        f"<td{' class=best' if line.scores[column].is_best else ''}>{_cell(line, column)}</td>" for column in columns
    )
    return f"<tr>{names}{scores}</tr>"


def _figure(panel: Path) -> str:
    picture = base64.b64encode(panel.read_bytes()).decode()
    caption = html.escape(panel.stem.replace("_", " "))
    image = f"<img alt='{caption}' src='data:image/png;base64,{picture}'>"
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
