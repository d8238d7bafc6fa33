"""A sweep as one HTML page. It is complete without its script, which sorts tables and lights one trial everywhere."""

import html
from importlib.resources import files

from pading.evaluate.board.feature_planes import draw_plane
from pading.evaluate.charts import STYLE as CHART_STYLE
from pading.evaluate.charts import forest_chart
from pading.evaluate.page import document
from pading.evaluate.sweeps.effects import effects
from pading.evaluate.sweeps.panels import cost_chart, effect_panel, score_bounds, search_chart
from pading.evaluate.sweeps.parallel import parallel_coordinates
from pading.evaluate.sweeps.report import SweepDiagnosis, SweepReport
from pading.evaluate.sweeps.tables import Cell, Row, Table, class_table, failures, trial_table
from pading.evaluate.sweeps.versus import comparisons, verdict
from pading.evaluate.sweeps.words import (
    EFFECTS,
    FEATURES,
    HONEST,
    LEAKY,
    PARALLEL,
    TITLE,
    UNORDERED,
    agreement_line,
    effect_title,
    facts,
    noise_line,
)


def html_page(report: SweepReport) -> str:
    """Return the page."""
    trials = report.trials
    warning = (
        f"<p class=leaky>{html.escape(LEAKY)}</p>" if report.is_leaky else f"<p class=faint>{html.escape(HONEST)}</p>"
    )
    terms = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in facts(report))
    body = [f"<section class=guide><dl>{terms}</dl></section>", warning]
    body += ["<section><h2>Winner and default</h2>", f"<p>{html.escape(verdict(trials, report.comparison))}</p>"]
    for title, lines in comparisons(trials, report.comparison):
        body.append(f"<figure class=wide>{forest_chart(title, lines)}</figure>")
    body += ["</section><section><h2>All trials</h2>", _figure(parallel_coordinates(trials), PARALLEL, "wide")]
    if found := effects(trials):
        bounds = score_bounds(trials, found)
        panels = "".join(f"<figure>{effect_panel(trials, one, effect_title(one), bounds)}</figure>" for one in found)
        caption = f"{EFFECTS} {noise_line(trials)}"
        body += ["</section><section><h2>What each setting does</h2>", f"<div class=panels>{panels}</div>"]
        body.append(f"<p class=caption>{html.escape(caption)}</p>")
    body += ["</section><section><h2>The search</h2>"]
    search = search_chart(trials)
    body.append(f"<figure class=wide>{search}</figure>" if search else f"<p class=faint>{UNORDERED}</p>")
    if cost := cost_chart(trials):
        body.append(f"<figure class=wide>{cost}</figure>")
    if failed := failures(trials):
        body.append("<h3>Failed trials</h3><ul class=failed>")
        body += [f"<li>{html.escape(settings)}<br><code>{html.escape(error)}</code></li>" for settings, error in failed]
        body.append("</ul>")
    body += ["</section><section><h2>Table of trials</h2>", _table(trial_table(trials), "tall")]
    body.append(f"<p class=caption>{html.escape(agreement_line(trials))}</p></section>")
    if report.diagnosis is not None:
        body += _features(report.diagnosis)
    style = (files("pading.evaluate.board") / "board.css").read_text(encoding="utf-8")
    own = (files("pading.evaluate.sweeps") / "sweeps.css").read_text(encoding="utf-8")
    script = (files("pading.evaluate.board") / "tables.js").read_text(encoding="utf-8")
    return document(TITLE, body, CHART_STYLE + style + own, script)


def _features(diagnosis: SweepDiagnosis) -> list[str]:
    drawings = []
    for name, one in zip(diagnosis.generators, diagnosis.planes.generators, strict=True):
        nearest = (
            "" if one.own_nearest is None else f"{one.own_nearest:.0f} % of crosses are nearest to their own class"
        )
        plane = draw_plane(diagnosis.planes, one)
        drawings.append(f"<figure><h3>{html.escape(name)}</h3>{plane}<figcaption>{nearest}</figcaption></figure>")
    return [
        "<section><h2>Synthetic features of held-out classes</h2>",
        f"<p class=caption>{html.escape(FEATURES)}</p>",
        f"<div class=planes>{''.join(drawings)}</div>",
        f"{_table(class_table(diagnosis))}</section>",
    ]


def _figure(drawing: str, caption: str, kind: str) -> str:
    return f"<figure class={kind}>{drawing}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _table(table: Table, kind: str = "") -> str:
    head = "".join(
        f"<th scope=col data-column={at} data-kind={kind}>{html.escape(name)}</th>"
        for at, (name, kind) in enumerate(zip(table.columns, table.kinds, strict=True))
    )
    body = "\n".join(_row(row, table) for row in table.rows)
    inside = f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>"
    return f"<div class='wide {kind}'><table class=sortable>{inside}</table></div>"


def _row(row: Row, table: Table) -> str:
    cells = "".join(_cell(cell, kind) for cell, kind in zip(row.cells, table.kinds, strict=True))
    tie = f" data-line={row.rank}" if row.rank is not None else ""
    kind = f" class={row.kind}" if row.kind else ""
    return f"<tr{kind}{tie}>{cells}</tr>"


def _cell(cell: Cell, kind: str) -> str:
    if kind == "text":
        return f"<td class=name>{html.escape(cell.text)}</td>"
    value = "" if cell.value is None else f"{cell.value:.6g}"
    return f"<td data-value='{value}'>{html.escape(cell.text)}</td>"
