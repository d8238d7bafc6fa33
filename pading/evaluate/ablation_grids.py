"""The tables of an ablation as grids of texts, whatever they are then shown on; made from `ablation_report`'s data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pading.evaluate.bootstrap import GROUPS
from pading.evaluate.leaderboard import NAMES

Kind = Literal["", "best", "published", "failed"]
GROUP_TITLES = {"seen": "seen", "unseen": "unseen", "hm": "harmonic mean"}
PUBLISHED_TITLE = "published, COCO"
NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One field of a grid."""

    text: str
    kind: Kind = ""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table as texts; `spans` are headings over several columns, with how many."""

    caption: str
    spans: tuple[tuple[str, int], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def grids(report: dict[str, Any], table: dict[str, Any]) -> list[Grid]:
    """Return what is to be shown of one table: scores and comparisons, or both in one grid for a curve."""
    if table["axis"]:
        return [_curve_grid(report, table)]
    shown = [_score_grid(report, table), _comparison_grid(report, table)]
    return [*shown, *([_published_grid(report)] if table["name"] == "rows" else [])]


def summary_grid(report: dict[str, Any], table: dict[str, Any]) -> Grid:
    """Return a table in brief: the quality that the task is judged by, and each line against its last reference."""
    columns = [f"{report['quality']}/{group}" for group in GROUPS]
    rows = []
    for line in table["lines"]:
        variant, compared = report["variants"][line["variant"]], line["comparisons"][-1:]
        cells = [_mean(variant, column) for column in columns]
        against = [_difference(found["hm"]) + f" against {found['reference']}" for found in compared]
        rows.append((Cell(text=line["label"]), *cells, Cell(text="".join(against))))
    title = f"{table['name']}: {table['title']}"
    return Grid(caption=title, spans=(), columns=(table["axis"] or "line", *columns, ""), rows=tuple(rows))


def failures(report: dict[str, Any], table: dict[str, Any]) -> list[str]:
    """Return one line of text for each fit of a table that failed."""
    return [
        f"{line['label']}, seed {seed}: {reason}"
        for line in table["lines"]
        for seed, reason in report["variants"][line["variant"]]["failures"].items()
    ]


def _score_grid(report: dict[str, Any], table: dict[str, Any]) -> Grid:
    """As PADing's Tab. 1: the groups side by side, the qualities of each; then what was published for the same row."""
    qualities = report["qualities"]
    columns = [f"{quality}/{group}" for group in GROUPS for quality in qualities]
    published = _published_by_method(report) if table["name"] == "rows" else {}
    lines = [(line, report["variants"][line["variant"]]) for line in table["lines"]]
    best = {column: _best([variant["mean"].get(column) for _, variant in lines]) for column in columns}
    rows = []
    for line, variant in lines:
        cells = [
            _mean(variant, column, is_best=best[column] is not None and variant["mean"].get(column) == best[column])
            for column in columns
        ]
        beside = published.get(line["label"])
        if published:
            values = [None] * len(GROUPS) if beside is None else list(beside["qualities"][report["quality"]].values())
            cells += [Cell(text=_number(value), kind="published") for value in values]
        rows.append((_label(line, variant, report), *cells))
    spans = [("", 1), *((GROUP_TITLES[group], len(qualities)) for group in GROUPS)]
    names = ["", *(NAMES[column.split("/")[0]] for column in columns)]
    if published:
        spans.append((PUBLISHED_TITLE, len(GROUPS)))
        names += [f"{NAMES[report['quality']]} {group}" for group in GROUPS]
    caption = "Mean ± standard deviation over seeds, in percent; the best of a column stands out."
    return Grid(caption=caption, spans=tuple(spans), columns=tuple(names), rows=tuple(rows))


def _comparison_grid(report: dict[str, Any], table: dict[str, Any]) -> Grid:
    name = NAMES[report["quality"]]
    rows = []
    for line in table["lines"]:
        variant = report["variants"][line["variant"]]
        first = [
            Cell(text=line["label"]),
            *(Cell(text=_score_interval(variant, report["quality"], group)) for group in GROUPS),
        ]
        for found in line["comparisons"] or [None]:
            rows.append((*first, *_comparison_cells(found)))
            first = [Cell(text="")] * len(first)
    spans = (("", 1), (f"{name} [95 % interval]", 3), ("difference [95 % interval]", 4), ("better, harmonic mean", 2))
    columns = ("", *GROUPS, "against", *GROUPS, "probability", "seeds")
    caption = (
        f"Intervals and probabilities over {report['num_resamples']} sets of images drawn with replacement, the same "
        "sets and the same seeds for both of a pair; how far seeds differ is not in them, but in the last column."
    )
    return Grid(caption=caption, spans=spans, columns=columns, rows=tuple(rows))


def _curve_grid(report: dict[str, Any], table: dict[str, Any]) -> Grid:
    """As PADing's Tab. 3: one column a value."""
    quality = report["quality"]
    variants = [report["variants"][line["variant"]] for line in table["lines"]]
    found = [(line["comparisons"] or [None])[0] for line in table["lines"]]
    rows: list[tuple[Cell, ...]] = []
    for group in GROUPS:
        column = f"{quality}/{group}"
        best = _best([variant["mean"].get(column) for variant in variants])
        means = [
            _mean(variant, column, is_best=best is not None and variant["mean"].get(column) == best)
            for variant in variants
        ]
        rows.append((Cell(text=f"{NAMES[quality]} {GROUP_TITLES[group]}"), *means))
    texts: dict[str, Callable[[dict[str, Any]], str]] = {
        "difference, harmonic mean": lambda one: _difference(one["hm"]),
        "probability better": lambda one: _probability(one["hm"]),
        "better in seeds": lambda one: _seeds(one["hm"]),
    }
    rows += [
        (Cell(text=title), *(Cell(text=NOTHING if one is None else text(one)) for one in found))
        for title, text in texts.items()
    ]
    labels = [
        f"{line['label']} (default)" if line["label"] == table["default"] else line["label"] for line in table["lines"]
    ]
    caption = "Mean ± standard deviation over seeds, in percent; differences [95 % interval] against the default."
    return Grid(caption=caption, spans=(), columns=(table["axis"], *labels), rows=tuple(rows))


def _published_grid(report: dict[str, Any]) -> Grid:
    qualities = report["qualities"]
    rows = [
        (
            *(Cell(text=text, kind="published") for text in (published["row"], published["source"])),
            *(
                Cell(text=_number(published["qualities"][quality][group]), kind="published")
                for group in GROUPS
                for quality in qualities
            ),
        )
        for published in report["published"]["rows"]
    ]
    spans = ((PUBLISHED_TITLE, 2), *((GROUP_TITLES[group], len(qualities)) for group in GROUPS))
    columns = ("as printed", "source", *(NAMES[quality] for _ in GROUPS for quality in qualities))
    caption = "Other images and a larger network; not measured here."
    return Grid(caption=caption, spans=spans, columns=columns, rows=tuple(rows))


def _published_by_method(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the first published line of each method: that of the paper."""
    by_method: dict[str, dict[str, Any]] = {}
    for row in report["published"]["rows"]:
        if row["method"]:
            by_method.setdefault(row["method"], row)
    return by_method


def _label(line: dict[str, Any], variant: dict[str, Any], report: dict[str, Any]) -> Cell:
    num_fitted = len(variant["seeds"])
    if num_fitted == report["num_seeds"]:
        return Cell(text=line["label"])
    return Cell(text=f"{line['label']} ({num_fitted} of {report['num_seeds']} seeds)", kind="failed")


def _comparison_cells(found: dict[str, Any] | None) -> list[Cell]:
    if found is None:
        return [Cell(text="")] * (len(GROUPS) + 3)
    cells = [Cell(text=found["reference"]), *(Cell(text=_difference(found[group])) for group in GROUPS)]
    return [*cells, Cell(text=_probability(found["hm"])), Cell(text=_seeds(found["hm"]))]


def _mean(variant: dict[str, Any], column: str, *, is_best: bool = False) -> Cell:
    if not variant["seeds"]:
        return Cell(text="failed", kind="failed")
    mean, deviation = variant["mean"].get(column), variant["deviation"].get(column)
    spread = "" if deviation is None or mean is None else f" ± {deviation:.1f}"
    return Cell(text=_number(mean) + spread, kind="best" if is_best else "")


def _score_interval(variant: dict[str, Any], quality: str, group: str) -> str:
    mean, bounds = variant["mean"].get(f"{quality}/{group}"), variant["intervals"].get(group, [None, None])
    return _number(mean) if None in (mean, *bounds) else f"{mean:.1f} [{bounds[0]:.1f}, {bounds[1]:.1f}]"


def _difference(found: dict[str, Any]) -> str:
    if None in (found["difference"], found["low"], found["high"]):
        return NOTHING
    return f"{signed(found['difference'])} [{signed(found['low'])}, {signed(found['high'])}]"


def _probability(found: dict[str, Any]) -> str:
    return NOTHING if found["probability_better"] is None else f"{found['probability_better']:.2f}"


def _seeds(found: dict[str, Any]) -> str:
    return f"{found['seeds_better']} of {found['num_seeds']}"


def signed(value: float) -> str:
    """Return a difference with its sign; one that rounds to zero has none."""
    rounded = round(value, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}")


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}"


def _best(values: Sequence[float | None]) -> float | None:
    """Return the largest of several values, unless there is nothing to choose between."""
    known = {value for value in values if value is not None}
    return max(known) if len(known) > 1 else None
