"""What an evaluation left beside its rows, checked: trade-off curves, class by class scores, paired comparisons.

Everything is in percent. A file that is not there reads as None: the evaluation did not measure it. Axes: K classes.
"""

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pading.data.errors import DataError
from pading.evaluate.board.json_fields import REMEDY, field, number, numbers, objects, read_json
from pading.evaluate.leaderboard import SIDES

CURVES, PER_CLASS, COMPARISONS = "curves.json", "per_class.json", "comparisons.json"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Quality on seen and on unseen classes of one line, as the penalty on seen classes grows."""

    task: str
    method: str
    profile: str
    quality: str
    penalties: tuple[float, ...]
    seen: tuple[float, ...]
    unseen: tuple[float, ...]
    area: float  # AUSUC; NaN where it is not known


@dataclass(frozen=True, kw_only=True)
class ClassName:
    """One class, as a page shows it."""

    name: str
    is_seen: bool
    is_thing: bool


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """Mean over seeds of each quality of each class, by (task, method, profile); None where a class has no value."""

    classes: tuple[ClassName, ...]
    lines: dict[tuple[str, str, str], dict[str, tuple[float | None, ...]]]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """First minus second in one group of classes, with its 95 % interval; the counts are of seeds."""

    difference: float
    low: float
    high: float
    probability_better: float  # share of sets of drawn images, from 0 to 1
    seeds_better: int
    num_seeds: int


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Two lines of a task on the same images and seeds; groups without a value are left out."""

    task: str
    quality: str
    first: tuple[str, str]  # method, profile
    second: tuple[str, str]
    groups: dict[str, Difference]


def read_curves(folder: Path) -> tuple[Curve, ...] | None:
    """Read the trade-off curves: of each line the mean over its seeds, point by point.

    Raises:
        DataError: if the file is damaged, or the seeds of a line were measured at different penalties.
    """
    path = folder / CURVES
    found = read_json(path)
    if found is None:
        return None
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for at, entry in enumerate(objects(path, found)):
        where = f"curve {at}"
        lengths = {len(numbers(path, where, entry, name)) for name in ("seen_penalty", "seen", "unseen")}
        if len(lengths) != 1:
            raise DataError(str(path), f"{where} has columns of {sorted(lengths)} points", REMEDY)
        groups.setdefault(_line_of(path, where, entry), []).append(entry)
    return tuple(_mean_curve(path, line, seeds) for line, seeds in groups.items())


def read_class_scores(folder: Path) -> ClassScores | None:
    """Read the scores of every class: of each line the mean over the seeds that have a value.

    Raises:
        DataError: if the file is damaged, or a row has not one value for each class.
    """
    path = folder / PER_CLASS
    found = read_json(path)
    if found is None:
        return None
    if not isinstance(found, dict):
        raise DataError(str(path), f"expected an object, found {type(found).__name__}", REMEDY)
    classes = tuple(_class_name(path, at, one) for at, one in enumerate(objects(path, found.get("classes"))))
    groups: dict[tuple[str, str, str], list[dict[str, list[float | None]]]] = {}
    for at, entry in enumerate(objects(path, found.get("rows"))):
        values = field(path, f"row {at}", entry, "values", dict)
        columns = {name: numbers(path, f"row {at}", values, name) for name in values}
        for name, column in columns.items():
            if len(column) != len(classes):
                what = f"row {at} has {len(column)} values of {name!r} for {len(classes)} classes"
                raise DataError(str(path), what, REMEDY)
        groups.setdefault(_line_of(path, f"row {at}", entry), []).append(columns)
    return ClassScores(classes=classes, lines={line: _mean_columns(seeds) for line, seeds in groups.items()})


def read_comparisons(folder: Path) -> tuple[PairedComparison, ...] | None:
    """Read the paired comparisons.

    Raises:
        DataError: if the file is damaged.
    """
    path = folder / COMPARISONS
    found = read_json(path)
    if found is None:
        return None
    return tuple(_comparison(path, f"comparison {at}", entry) for at, entry in enumerate(objects(path, found)))


def _comparison(path: Path, where: str, entry: dict[str, Any]) -> PairedComparison:
    sides = []
    for side in ("first", "second"):
        named = field(path, where, entry, side, dict)
        sides.append((field(path, where, named, "method", str), field(path, where, named, "profile", str)))
    groups = {}
    for group in SIDES:
        found = field(path, where, entry, group, dict)
        names = ("difference", "low", "high", "probability_better")
        values = [number(path, where, found, name) for name in names]
        if None not in values:
            difference, low, high, probability = (value for value in values if value is not None)
            if not 0 <= probability <= 1:
                what = f"{where}, {group!r}: 'probability_better' is {probability:g}, not from 0 to 1"
                raise DataError(str(path), what, REMEDY)
            groups[group] = Difference(
                difference=difference,
                low=low,
                high=high,
                probability_better=probability,
                seeds_better=field(path, where, found, "seeds_better", int),
                num_seeds=field(path, where, found, "num_seeds", int),
            )
    task, quality = (field(path, where, entry, name, str) for name in ("task", "quality"))
    return PairedComparison(task=task, quality=quality, first=sides[0], second=sides[1], groups=groups)


def _mean_curve(path: Path, line: tuple[str, str, str], seeds: list[dict[str, Any]]) -> Curve:
    task, method, profile = line
    if any(seed["seen_penalty"] != seeds[0]["seen_penalty"] for seed in seeds):
        what = f"the seeds of {method} ({profile}), {task}, were measured at different penalties"
        raise DataError(str(path), what, REMEDY)
    columns = list(zip(*(zip(seed["seen"], seed["unseen"], strict=True) for seed in seeds), strict=True))
    points = [
        (penalty, *(statistics.fmean(values) for values in zip(*column, strict=True)))
        for penalty, column in zip(seeds[0]["seen_penalty"], columns, strict=True)
        if all(value is not None for pair in column for value in pair)
    ]
    areas = [area for seed in seeds if (area := number(path, "a curve", seed, "ausuc")) is not None]
    penalties, seen, unseen = (tuple(point[at] for point in points) for at in range(3))
    return Curve(
        task=task,
        method=method,
        profile=profile,
        quality=field(path, "a curve", seeds[0], "quality", str),
        penalties=penalties,
        seen=seen,
        unseen=unseen,
        area=statistics.fmean(areas) if areas else math.nan,
    )


def _mean_columns(seeds: list[dict[str, list[float | None]]]) -> dict[str, tuple[float | None, ...]]:
    return {
        name: tuple(_mean(values) for values in zip(*(seed[name] for seed in seeds if name in seed), strict=True))
        for name in seeds[0]
    }


def _mean(values: tuple[float | None, ...]) -> float | None:
    present = [value for value in values if value is not None]
    return statistics.fmean(present) if present else None


def _class_name(path: Path, at: int, entry: dict[str, Any]) -> ClassName:
    where = f"class {at}"
    is_seen, is_thing = (field(path, where, entry, name, bool) for name in ("is_seen", "is_thing"))
    return ClassName(name=field(path, where, entry, "name", str), is_seen=is_seen, is_thing=is_thing)


def _line_of(path: Path, where: str, entry: dict[str, Any]) -> tuple[str, str, str]:
    task, method, profile = (field(path, where, entry, name, str) for name in ("task", "method", "profile"))
    return task, method, profile
