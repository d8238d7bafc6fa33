"""The files of a leaderboard: the tables of `leaderboard.py` as JSON, CSV, Markdown and HTML, and for the terminal."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pading.evaluate.board.board import Board
from pading.evaluate.board.page import board_page
from pading.evaluate.leaderboard import (
    COLUMNS,
    IDENTITY,
    Line,
    Score,
    check_rows,
    footnotes,
    marked_name,
    shown_columns,
    tables,
    write_whole,
)

TERMINAL_COLUMNS = {
    "panoptic": ("pq/seen", "pq/unseen", "pq/hm", "sq/hm", "rq/hm"),
    "semantic": ("miou/seen", "miou/unseen", "miou/hm"),
    "instance": ("ap50/seen", "ap50/unseen", "ap50/hm", "recall100/hm"),
}


def write_leaderboard(folder: Path, board: Board) -> None:
    """Write `leaderboard.json`, `.csv`, `.md` and `.html`.

    Raises:
        ValueError: if a row breaks the contract of `check_rows`; nothing is written then.
    """
    board = replace(board, rows=check_rows(board.rows))
    pages = {
        "leaderboard.json": json.dumps(board.rows, indent=1) + "\n",
        "leaderboard.csv": csv_table(board.rows),
        "leaderboard.md": markdown_page(board.rows, board.notes),
        "leaderboard.html": board_page(board),
    }
    for name, text in pages.items():
        write_whole(folder / name, text)


def csv_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return one record a row: identity, whether it is leaky, every metric, and the bounds of those with an interval.

    A field is empty where a row has no value.
    """
    found = dict.fromkeys(metric for row in rows for metric in row["metrics"])
    metrics = [*(column for column in COLUMNS if column in found), *(name for name in found if name not in COLUMNS)]
    bounded = {metric for row in rows for metric in row.get("intervals", {})}
    with_bounds = [*(metric for metric in metrics if metric in bounded), *sorted(bounded - found.keys())]
    bounds = [f"{metric}/{side}" for metric in with_bounds for side in ("low", "high")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*IDENTITY, "leaky", *metrics, *bounds])
    for row in rows:
        intervals = row.get("intervals", {})
        values = [row["metrics"].get(metric) for metric in metrics]
        values += [bound for metric in with_bounds for bound in intervals.get(metric, (None, None))]
        identity = [row[field] for field in IDENTITY]
        writer.writerow([*identity, str(row.get("leaky", False)).lower(), *("" if v is None else v for v in values)])
    return text.getvalue()


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
