"""A sweep in Markdown: what it is, what won, every table."""

import math

from pading.evaluate.sweeps.effects import EffectPoint, effects
from pading.evaluate.sweeps.report import SweepReport
from pading.evaluate.sweeps.tables import Table, class_table, failures, trial_table
from pading.evaluate.sweeps.versus import comparisons, verdict
from pading.evaluate.sweeps.words import (
    EFFECTS,
    FEATURES,
    HONEST,
    LEAKY,
    TITLE,
    agreement_line,
    effect_title,
    facts,
    noise_line,
)


def markdown_page(report: SweepReport) -> str:
    """Return every table, with the effects as means and intervals."""
    trials = report.trials
    parts = [f"# {TITLE}", *([f"**{LEAKY}**"] if report.is_leaky else [HONEST])]
    parts.append("\n".join(f"* {name}: {_plain(text)}" for name, text in facts(report)))
    parts += ["## Winner and default", verdict(trials, report.comparison)]
    for title, lines in comparisons(trials, report.comparison):
        parts += [f"{title}:", "\n".join(f"* {line.label}: {line.text}" for line in lines)]
    if measured := effects(trials):
        parts += ["## Effects", f"{EFFECTS} {noise_line(trials)}".strip()]
        for effect in measured:
            head = f"| {_plain(effect.name)} | score | low | high | trials |\n|---|---:|---:|---:|---:|"
            rows = "\n".join(map(_point, effect.points))
            parts += [f"**{_plain(effect_title(effect))}**", f"{head}\n{rows}"]
    parts += ["## Trials", _table(trial_table(trials)), agreement_line(trials)]
    if failed := failures(trials):
        parts += ["## Failed", "\n".join(f"* {_plain(settings)}: {_plain(error)}" for settings, error in failed)]
    if report.diagnosis is not None:
        parts += ["## Held-out classes", FEATURES, _table(class_table(report.diagnosis))]
    return "\n\n".join(filter(None, parts)) + "\n"


def _point(point: EffectPoint) -> str:
    low, high = (f"{end:.1f}" if math.isfinite(end) else "–" for end in (point.low, point.high))
    return f"| {_plain(point.label)} | {point.mean:.1f} | {low} | {high} | {point.num_trials} |"


def _table(table: Table) -> str:
    sides = ["---" if kind == "text" else "---:" for kind in table.kinds]
    lines = [table.columns, sides, *([cell.text for cell in row.cells] for row in table.rows)]
    return "\n".join(f"| {' | '.join(_plain(text) for text in line)} |" for line in lines)


def _plain(text: str) -> str:
    """Return text that neither ends a cell or line nor is read as markup."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
