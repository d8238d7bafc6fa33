"""The leaderboard of a run: rows (one per task, method, profile and seed) and the lines of its tables.

A table line is one (method, profile): mean and standard deviation over seeds, sorted by the harmonic mean of its
task: PQ, mIoU or AP50. Metrics are in percent. `leaderboard_pages.py` writes the files, `board/` is the HTML page.
"""

import json
import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIDES = ("seen", "unseen", "hm")
QUALITIES = ("pq", "sq", "rq", "miou", "ap50", "recall100")
NAMES = {"pq": "PQ", "sq": "SQ", "rq": "RQ", "miou": "mIoU", "ap50": "AP50", "recall100": "Recall@100"}
AREA = "ausuc"  # under the curve of unseen over seen quality, as a penalty on seen classes grows
COLUMNS = tuple(f"{quality}/{side}" for quality in QUALITIES for side in (*SIDES, AREA))
SORT_COLUMNS = {"panoptic": "pq/hm", "semantic": "miou/hm", "instance": "ap50/hm"}
TASK_QUALITIES = {"panoptic": ("pq", "sq", "rq"), "semantic": ("miou",), "instance": ("ap50", "recall100")}
IDENTITY = ("task", "method", "profile", "seed")
_ROW_FIELDS: dict[str, type] = {"task": str, "method": str, "profile": str, "seed": int, "metrics": dict}
_OPTIONAL_FIELDS: dict[str, type] = {"intervals": dict, "leaky": bool}
LEAKY_MARK = "†"
LEAKY_NOTE = (
    "† Leaky, not a zero-shot result: the segmenter started from weights that were trained on unseen classes of this "
    "split, or that are not known not to be; or settings were chosen by their scores on unseen classes."
)


@dataclass(frozen=True, kw_only=True)
class Score:
    """One cell of a table: a metric over the seeds; NaN where no seed has it, deviation 0 for a single seed.

    The bounds are the means of the seeds' own 95 % intervals over images; NaN unless every seed has one.
    """

    mean: float
    deviation: float
    low: float
    high: float
    is_best: bool

    @property
    def has_interval(self) -> bool:
        """Whether both bounds are known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a table; `scores` has every one of COLUMNS, and whatever else a row of its task has."""

    method: str
    profile: str
    num_seeds: int
    is_leaky: bool  # in any of its seeds
    scores: dict[str, Score]

    @property
    def key(self) -> str:
        """Names the line within its task."""
        return f"{self.method} ({self.profile})"


def check_rows(rows: Sequence[Any], source: str = "leaderboard") -> list[dict[str, Any]]:
    """Return copies of the rows, if each has exactly the fields and types of a leaderboard row.

    A metric that is not a finite number (no class to average over) becomes None, because strict JSON has no NaN.

    Raises:
        ValueError: naming the source, the row and the field that is missing, unknown, of the wrong type or repeated.
    """
    for index, row in enumerate(rows):
        where = f"{source}, row {index}"
        if not isinstance(row, dict):
            raise ValueError(f"{where}: expected an object, found {type(row).__name__}; write one object per row")
        for field, kind in _ROW_FIELDS.items():
            if type(row.get(field)) is not kind:
                seen = f"found {row[field]!r}" if field in row else "it is missing"
                raise ValueError(f"{where}, field {field!r}: expected {kind.__name__}, {seen}; run evaluate again")
        for field, kind in _OPTIONAL_FIELDS.items():
            if field in row and type(row[field]) is not kind:
                raise ValueError(f"{where}, field {field!r}: expected {kind.__name__}, found {row[field]!r}")
        fields = {**_ROW_FIELDS, **_OPTIONAL_FIELDS}
        if unknown := sorted(row.keys() - fields.keys()):
            raise ValueError(f"{where}, field {unknown[0]!r}: not a field; valid: {', '.join(fields)}")
        for metric, value in row["metrics"].items():
            if type(value) not in (int, float, type(None)):
                raise ValueError(f"{where}, field 'metrics.{metric}': expected a number or null, found {value!r}")
        for metric, bounds in row.get("intervals", {}).items():
            if not _is_interval(bounds):
                raise ValueError(f"{where}, field 'intervals.{metric}': expected [low, high], found {bounds!r}")
    identities = [tuple(row[field] for field in IDENTITY) for row in rows]
    for index, identity in enumerate(identities):
        if identity in identities[:index]:
            raise ValueError(f"{source}, row {index}, field 'seed': {identity} occurs twice; keep one of them")
    return [_strict(row) for row in rows]


def _is_interval(bounds: Any) -> bool:
    kinds = (int, float, type(None))
    return isinstance(bounds, list | tuple) and len(bounds) == 2 and all(type(bound) in kinds for bound in bounds)


def _strict(row: dict[str, Any]) -> dict[str, Any]:
    copied = {**row, "metrics": {key: _finite(value) for key, value in row["metrics"].items()}}
    if "intervals" in row:
        copied["intervals"] = {key: [_finite(bound) for bound in pair] for key, pair in row["intervals"].items()}
    return copied


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def read_leaderboard(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a `leaderboard.json`.

    Raises:
        ValueError: if the file is not JSON, or is not a list of rows.
    """
    try:
        rows = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); run leaderboard again") from error
    if not isinstance(rows, list):
        raise ValueError(f"{path}: expected a list of rows, found {type(rows).__name__}; run leaderboard again")
    return check_rows(rows, str(path))


def tables(rows: Sequence[dict[str, Any]]) -> dict[str, list[Line]]:
    """Return the lines of each task's table, best first; lines without the sorting metric come last.

    Panoptic comes first, then semantic and instance, then tasks of other names.
    """
    return {
        task: _lines([row for row in rows if row["task"] == task], SORT_COLUMNS.get(task, "pq/hm"))
        for task in sorted({row["task"] for row in rows}, key=lambda task: ([*SORT_COLUMNS, task].index(task), task))
    }


def marked_name(line: Line) -> str:
    """Return the name of a line's method, with a mark where it is leaky."""
    return f"{line.method} {LEAKY_MARK}" if line.is_leaky else line.method


def footnotes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the marks in the tables of these rows mean."""
    return [LEAKY_NOTE] if any(row.get("leaky", False) for row in rows) else []


def shown_columns(task: str, lines: Sequence[Line]) -> list[str]:
    """Return the metrics of a task that at least one line has, in table order.

    Rows of the panoptic task also have the metrics of the others, which have tables of their own.
    """
    of_task = [f"{quality}/{side}" for quality in TASK_QUALITIES.get(task, QUALITIES) for side in (*SIDES, AREA)]
    return [column for column in of_task if any(math.isfinite(line.scores[column].mean) for line in lines)]


def _lines(rows: Sequence[dict[str, Any]], sort_column: str) -> list[Line]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["profile"]), []).append(row)
    columns = dict.fromkeys([*COLUMNS, *(metric for row in rows for metric in row["metrics"])])
    means = {
        key: {column: _mean_and_deviation([row["metrics"].get(column) for row in group]) for column in columns}
        for key, group in groups.items()
    }
    best = {
        column: max((mean[column][0] for mean in means.values() if math.isfinite(mean[column][0])), default=math.nan)
        for column in columns
    }
    lines = []
    for (method, profile), group in groups.items():
        scores = {}
        for column, (mean, deviation) in means[method, profile].items():
            low, high = _mean_interval(group, column)
            scores[column] = Score(mean=mean, deviation=deviation, low=low, high=high, is_best=mean == best[column])
        is_leaky = any(row.get("leaky", False) for row in group)
        lines.append(Line(method=method, profile=profile, num_seeds=len(group), is_leaky=is_leaky, scores=scores))
    return sorted(lines, key=lambda line: _rank(line, sort_column))


def _mean_interval(group: Sequence[dict[str, Any]], column: str) -> tuple[float, float]:
    bounds = [row.get("intervals", {}).get(column, (None, None)) for row in group]
    if any(bound is None for pair in bounds for bound in pair):
        return math.nan, math.nan
    return statistics.fmean(low for low, _ in bounds), statistics.fmean(high for _, high in bounds)


def _rank(line: Line, sort_column: str) -> tuple[float, str, str]:
    mean = line.scores[sort_column].mean
    return (-mean if math.isfinite(mean) else math.inf, line.method, line.profile)


def _mean_and_deviation(values: Sequence[float | None]) -> tuple[float, float]:
    finite = [value for value in map(_finite, values) if value is not None]
    if not finite:
        return math.nan, math.nan
    return statistics.fmean(finite), statistics.stdev(finite) if len(finite) > 1 else 0.0


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
