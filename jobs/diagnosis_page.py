"""A diagnosis as one HTML page that asks nothing of the network."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pading.zeroshot.diagnostics.confusion import Confusion
from pading.zeroshot.diagnostics.diagnosis import ClassReport, Diagnosis
from pading.zeroshot.diagnostics.discrepancy import ClassDiscrepancy

CAVEAT = (
    "Everything about unseen classes (*) here looks at real features of them. It explains a result; a setting chosen "
    "by it would make the result no zero-shot result."
)
MOST_LINES = 24  # of a list of confusions

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1e21; max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e3e5e8; text-align: right; white-space: nowrap; }
th { color: #6b7280; font-weight: 600; vertical-align: bottom; }
.name { text-align: left; }
.unseen { color: #c2185b; font-weight: 600; }
.caveat { border-left: 4px solid #c2185b; padding: .4rem .9rem; background: #fdf2f6; }
.wide { overflow-x: auto; }
.columns { display: flex; flex-wrap: wrap; gap: 3rem; }
img { max-width: 100%; }
p, ul { max-width: 60rem; }
"""


def diagnosis_page(diagnosis: Diagnosis, row: dict[str, Any], folder: Path) -> str:
    """Return the page; the pictures are those that lie in the folder."""
    title = f"{row['method']} ({row['profile']}, seed {row['seed']}) on {diagnosis.classes.name}"
    responses = diagnosis.responses
    body = [
        f"<h1>Diagnosis: {html.escape(title)}</h1>",
        f"<p class=caveat>{html.escape(CAVEAT)}</p>",
        _summary(diagnosis.summary()),
        "<h2>Where synthetic features lie</h2>",
        "<p>The generator makes features of a class from its name; the classifier learns unseen classes from these "
        "alone. Crosses should lie on the dots of their own colour. Distances between far clusters mean little.</p>",
        _picture(folder / "tsne.png", "t-SNE of real and synthetic features"),
        "<h2>How far they are from real ones</h2>",
        "<p>Squared maximum mean discrepancy of each class, unbiased. Chance is the root mean square of the same "
        "between random halves of the real rows: a dot inside its green bar cannot be told from the real class. Chance "
        "shrinks as rows grow, so compare the dots of two classes, not their multiples of chance.</p>",
        _picture(folder / "discrepancy.png", "discrepancy of each class"),
        "<h2>What is taken for what</h2>",
        "<div class=columns>",
        _confusions("Synthetic rows, by the nearest real class", diagnosis.of_synthetic, diagnosis),
        _confusions("Real val queries, by the classifier", diagnosis.of_classifier, diagnosis),
        "</div>",
    ]
    if responses is not None:
        body += [
            "<h2>Which primitives fire</h2>",
            f"<p>A class is put together from {responses.num_primitives} primitives by attention. An effective number "
            "near 1 is one primitive a class, which is memory; near all of them, every class blends every primitive, "
            "and only the small differences shown in colour tell classes apart.</p>",
            _picture(folder / "responses.png", "response of primitives to classes"),
        ]
    body += ["<h2>Class by class</h2>", _table(diagnosis.reports)]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = f'<meta charset=utf-8><meta http-equiv=Content-Security-Policy content="{policy}">'
    return (
        f"<!doctype html>\n<html lang=en>\n<head>{head}<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def sentences(summary: dict[str, float]) -> list[str]:
    """Return the figures of a summary as lines to read."""
    lines = []
    kinds = (
        ("held_out", "seen", "seen classes, training images held out"),
        ("val", "seen", "seen classes, val queries"),
        ("val", "unseen", "unseen classes *, val queries"),
    )
    for name, side, label in kinds:
        if f"{name}_mmd/{side}" in summary:
            line = f"{label}: MMD² {summary[f'{name}_mmd/{side}']:.3f} (chance {summary[f'{name}_floor/{side}']:.3f})"
            line += f", variance {summary[f'{name}_spread/{side}']:.1f} times the real one (medians)"
            if name == "val":
                line += f"; the own class is nearest for {100 * summary[f'own_class_nearest/{side}']:.0f} % of classes"
            lines.append(line)
    if "effective_primitives" in summary:
        lines.append(f"effective number of primitives: {summary['effective_primitives']:.0f} (mean over classes)")
    return lines


def _summary(summary: dict[str, float]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in sentences(summary)) + "</ul>"


def _confusions(title: str, found: Sequence[Confusion], diagnosis: Diagnosis) -> str:
    """Return a list of the largest confusions, unseen classes marked."""
    unseen = {diagnosis.classes.names[index] for index in diagnosis.classes.unseen}
    rows = [
        f"<tr><td class='name{' unseen' * (confusion.of in unseen)}'>{html.escape(_starred(confusion.of, unseen))}</td>"
        f"<td class='name{' unseen' * (confusion.taken_for in unseen)}'>→ "
        f"{html.escape(_starred(confusion.taken_for, unseen))}</td><td>{100 * confusion.share:.0f} %</td></tr>"
        for confusion in found[:MOST_LINES]
    ]
    rest = f"<p>and {len(found) - MOST_LINES} smaller ones</p>" if len(found) > MOST_LINES else ""
    table = f"<table>{''.join(rows)}</table>{rest}" if rows else "<p>none above a tenth of a class</p>"
    return f"<div><h3>{html.escape(title)}</h3>{table}</div>"


def _table(reports: Sequence[ClassReport]) -> str:
    heads = (
        "class", "held out: MMD²", "× chance", "val: MMD²", "× chance", "val rows", "spread", "nearest real class",
        "most rows look like", "nearest name", "effective primitives",
    )  # fmt: skip
    rows = map(_table_row, sorted(reports, key=lambda report: report.is_seen))
    head = "".join(f"<th{' class=name' if name == 'class' else ''}>{name}</th>" for name in heads)
    return f"<div class=wide><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _table_row(report: ClassReport) -> str:
    kind, star = ("name", "") if report.is_seen else ("name unseen", " *")
    rows, spread = (str(report.val.num_real), f"{report.val.spread:.2f}") if report.val else ("-", "-")
    most = report.nearest_by_rows
    like = f"{most.taken_for} {100 * most.share:.0f} %" if most else "-"
    effective = "-" if report.effective_primitives is None else f"{report.effective_primitives:.0f}"
    near = f"{report.nearest_text} {report.text_cosine:.2f}"
    return (
        f"<tr><td class='{kind}'>{html.escape(report.name)}{star}</td>"
        f"{_discrepancy(report.held_out)}{_discrepancy(report.val)}<td>{rows}</td><td>{spread}</td>"
        + "".join(f"<td class=name>{html.escape(text)}</td>" for text in (report.nearest_by_mean or "-", like, near))
        + f"<td>{effective}</td></tr>"
    )


def _discrepancy(found: ClassDiscrepancy | None) -> str:
    return f"<td>{found.mmd:.4f}</td><td>{found.ratio:.1f}</td>" if found else "<td>-</td><td>-</td>"


def _starred(name: str, unseen: set[str]) -> str:
    return f"{name} *" if name in unseen else name


def _picture(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f"<img alt='{html.escape(caption)}' src='data:image/png;base64,{data}'>"
