"""Pages of an ablation: JSON, Markdown, one HTML file with charts, and brief tables for the terminal."""

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pading.evaluate.ablation_grids import PUBLISHED_TITLE, Cell, Grid, failures, grids, signed, summary_grid
from pading.evaluate.bootstrap import GROUPS
from pading.evaluate.charts import STYLE as CHART_STYLE
from pading.evaluate.charts import Difference, Point, curve_panel, forest_chart
from pading.evaluate.leaderboard import LEAKY_NOTE, NAMES, write_whole
from pading.evaluate.page import document

PAGES = ("ablation.json", "ablation.md", "ablation.html")
TITLE = "Ablation"
_STYLE = f"""{CHART_STYLE}
h2 {{ margin-top: 2.5rem; }}
table {{ font-size: .87rem; }}
th, td {{ padding: .3rem .5rem; }}
td small {{ font-size: .86em; font-weight: 400; }}
thead tr:first-child th[colspan] {{ text-align: center; border-bottom: 1px solid var(--faint); color: var(--ink); }}
td.published {{ color: var(--faint); font-style: italic; }}
td.failed {{ color: var(--unseen); }}
caption {{ caption-side: bottom; text-align: left; color: var(--faint); font-size: .85rem; padding: .4rem 0; }}
.wide {{ margin: 1rem 0; }}
"""


def write_ablation(folder: Path, report: dict[str, Any]) -> None:
    """Write all pages of a report into a folder, each whole; JSON last, as what other programs wait for."""
    texts = (json.dumps(report, indent=1, allow_nan=False) + "\n", markdown_page(report), html_page(report))
    for name, text in reversed(list(zip(PAGES, texts, strict=True))):
        write_whole(folder / name, text)


def markdown_page(report: dict[str, Any]) -> str:
    """Return every table in Markdown."""
    parts = [f"# {TITLE}", "\n".join(f"* {note}" for note in notes(report))]
    for table in report["tables"]:
        parts.append(f"## {table['title']}")
        for grid in grids(report, table):
            parts += [_markdown_grid(grid), grid.caption]
        parts += [f"{PUBLISHED_TITLE}: {text}." for text in _gains(report, table)]
        parts += [f"Failed: {text}" for text in failures(report, table)]
    return "\n\n".join(parts) + "\n"


def html_page(report: dict[str, Any]) -> str:
    """Return every table and chart as one HTML page that asks nothing of the network."""
    body = ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in notes(report)), "</ul>"]
    for table in report["tables"]:
        body.append(f"<h2>{html.escape(table['title'])}</h2>")
        shown = [_html_grid(grid) for grid in grids(report, table)]
        chart = _curve(report, table) if table["axis"] else _forest(report, table)
        body += [shown[0], chart, *shown[1:]]
        body += [f"<p><em>{html.escape(f'{PUBLISHED_TITLE}: {text}.')}</em></p>" for text in _gains(report, table)]
        body += [f"<p class=warning>Failed: {html.escape(text)}</p>" for text in failures(report, table)]
    return document(TITLE, body, _STYLE)


def terminal_tables(report: dict[str, Any]) -> str:
    """Return brief tables in plain text."""
    parts = []
    for table in report["tables"]:
        grid = summary_grid(report, table)
        cells = [list(grid.columns), *([cell.text for cell in row] for row in grid.rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(grid.columns))]
        lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells]
        parts.append("\n".join([grid.caption, *(f"  {line.rstrip()}" for line in lines)]))
    return "\n\n".join(parts)


def notes(report: dict[str, Any]) -> list[str]:
    """Return what one must know to read the tables."""
    sizes = f"{report['num_seen']} seen and {report['num_unseen']} unseen classes, {report['num_images']} images"
    lines = [
        f"Preset {report['preset']}, split {report['split']}: {sizes}; task {report['task']}, judged by "
        f"{NAMES[report['quality']]}.",
        f"{report['num_seeds']} seeds of generator and classifier on one frozen segmenter, which started from "
        f"{report['segmenter']}.",
        f"Profile {report['profile']} where a table names no other.",
        f"Columns marked “{PUBLISHED_TITLE}” were printed by others for other images; compare their order with ours, "
        "not their height.",
    ]
    return [*lines, LEAKY_NOTE] if report["leaky"] else lines


def _gains(report: dict[str, Any], table: dict[str, Any]) -> list[str]:
    return [f"{one['text']} ({one['source']})" for one in report["published"]["gains"] if one["table"] == table["name"]]


def _curve(report: dict[str, Any], table: dict[str, Any]) -> str:
    panels = []
    for group in GROUPS:
        column = f"{report['quality']}/{group}"
        points = []
        for line in table["lines"]:
            variant = report["variants"][line["variant"]]
            low, high = variant["intervals"].get(group, (None, None))
            mean, deviation = variant["mean"].get(column), variant["deviation"].get(column)
            points.append(Point(label=line["label"], value=mean, deviation=deviation, low=low, high=high))
        title = f"{NAMES[report['quality']]}, {'harmonic mean' if group == 'hm' else group}"
        panels.append(curve_panel(title, table["axis"], points, colour=group, default=table["default"]))
    caption = "Bars: standard deviation over seeds. Band: 95 % interval over images. Dashed: the default."
    return f"<figure><div class=panels>{''.join(panels)}</div><figcaption>{caption}</figcaption></figure>"


def _forest(report: dict[str, Any], table: dict[str, Any]) -> str:
    """Return a chart of the steps from method to method, and one of all lines against each other reference."""
    steps, whole = "the method that it adds to", table["lines"][-1]["label"]
    charts: dict[str, list[Difference]] = {steps: []}
    for line in table["lines"]:
        for compared in line["comparisons"]:
            value, low, high = (compared["hm"][name] for name in ("difference", "low", "high"))
            if None in (value, low, high):
                continue
            reference = compared["reference"]
            is_step = reference != whole and table["name"] == "rows"
            label = f"{line['label']} against {reference}" if is_step else line["label"]
            text = f"{signed(value)} [{signed(low)}, {signed(high)}]"
            difference = Difference(label=label, value=value, low=low, high=high, text=text)
            charts.setdefault(steps if is_step else reference, []).append(difference)
    title = f"Difference in {NAMES[report['quality']]}, harmonic mean, against"
    drawn = [
        forest_chart(f"{title} {reference}", differences) for reference, differences in charts.items() if differences
    ]
    caption = "Lines: 95 % interval over images. Grey: it holds zero."
    return f"<figure class=wide>{'<br>'.join(drawn)}<figcaption>{caption}</figcaption></figure>" if drawn else ""


def _markdown_grid(grid: Grid) -> str:
    heads = list(grid.columns)
    if grid.spans:  # Markdown has no spanning headings: each column says its own
        owners = [title for title, width in grid.spans for _ in range(width)]
        heads = [" ".join(filter(None, pair)) for pair in zip(owners, heads, strict=True)]
    rows = [_markdown_row(heads), "|---" + "|---:" * (len(heads) - 1) + "|"]
    return "\n".join([*rows, *(_markdown_row([_markdown_cell(cell) for cell in row]) for row in grid.rows)])


def _markdown_cell(cell: Cell) -> str:
    mark = {"best": "**", "published": "*"}.get(cell.kind, "") if cell.text else ""
    return f"{mark}{cell.text}{mark}"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _html_grid(grid: Grid) -> str:
    spans = "".join(f"<th colspan={width}>{html.escape(title)}</th>" for title, width in grid.spans)
    columns = "".join(f"<th>{html.escape(column)}</th>" for column in grid.columns)
    head = f"<tr>{spans}</tr>" if grid.spans else ""
    rows = "\n".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in grid.rows)
    table = f"<thead>{head}<tr>{columns}</tr></thead>\n<tbody>{rows}</tbody>"
    return f"<div class=wide><table><caption>{html.escape(grid.caption)}</caption>{table}</table></div>"


def _html_cell(cell: Cell) -> str:
    """Return a field with what follows its number, a deviation or an interval, in small print."""
    number, mark, rest = re.fullmatch(r"(.*?)(?:( ± | \[)(.*))?", cell.text, re.DOTALL).groups(default="")  # type: ignore[union-attr]
    small = f"<small>{html.escape(mark + rest)}</small>" if mark else ""
    kind = f" class={cell.kind}" if cell.kind else ""
    return f"<td{kind}>{html.escape(number)}{small}</td>"
