"""What is said of a row: its metrics, what each class adds to them, its trade-off curve, and sets of drawn images.

Metrics are in percent and named VIEW/QUALITY/GROUP. The plain view is the generalised setting: all classes may be
predicted, and a class that is neither in the truth nor predicted is left out. "zero/" counts such a class as zero, as
PADing's released evaluator has it; "things/" and "stuff/" are means over these alone; "zsi/" is the plain zero-shot
setting of `unseen_world.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64

from pading.classes import ClassTable
from pading.evaluate.bootstrap import GROUPS, SeedScores, draw_weights, group_scores, interval
from pading.evaluate.curve import area_under
from pading.evaluate.per_image import QUALITIES, ImageScores, qualities_of
from pading.evaluate.report import group_mean, grouped
from pading.evaluate.row_scores import RowScores
from pading.splits.split import JUDGED, Task


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskReport:
    """A row as one task sees it; null stands where there is no value."""

    metrics: dict[str, float | None]
    intervals: dict[str, list[float | None]]
    values: dict[str, list[float | None]]  # of each class
    curve: dict[str, Any] | None
    estimates: Float64[np.ndarray, "3"]  # of what the task is judged by: seen, unseen, harmonic mean
    replicates: Float64[np.ndarray, "R 3"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowReport:
    """A row's report for each task that it was scored in."""

    tasks: Mapping[Task, TaskReport] = field(default_factory=dict)


def report_row(
    row: RowScores,
    classes: ClassTable,
    unseen_classes: ClassTable,
    penalties: tuple[float, ...],
    resamples: int,
    seed: int,
) -> RowReport:
    """Return what is said of a row; rows of the same images, drawn by the same seed, can be compared."""
    values = {task: _values(scores) for task, scores in row.generalised.items()}
    own = {
        task: _task_metrics(scores, values[task], classes)
        | _unseen_only_metrics(row.unseen_only.get(task), unseen_classes)
        | _curve_metrics(row, task, classes)
        for task, scores in row.generalised.items()
    }
    return RowReport(
        tasks={
            task: _report_task(row, task, classes, penalties, resamples, seed, own, values[task])
            for task in row.generalised
        }
    )


def _report_task(
    row: RowScores,
    task: Task,
    classes: ClassTable,
    penalties: tuple[float, ...],
    resamples: int,
    seed: int,
    metrics: Mapping[Task, Mapping[str, float]],
    values: Mapping[str, Float64[np.ndarray, "K"]],
) -> TaskReport:
    scores, main = row.generalised[task], QUALITIES[task][0]
    judged = [other for other in JUDGED[task] if other in metrics]
    estimates = group_scores(values[main][None], classes)
    replicates = group_scores(scores.quality(main, draw_weights(len(scores.image_ids), resamples, seed)), classes)
    sets = SeedScores(seeds=(0,), estimates=estimates, replicates=replicates[None])
    bounds = {group: interval(sets, group) for group in GROUPS}
    curve = None
    if task in row.curves:
        seen, unseen = _curve(row, task, classes)
        curve = {
            "quality": main,
            "seen_penalty": list(penalties),
            "seen": [finite(value) for value in seen],
            "unseen": [finite(value) for value in unseen],
            "ausuc": finite(area_under(seen, unseen)),
        }
    return TaskReport(
        metrics={name: finite(value) for other in judged for name, value in metrics[other].items()},
        intervals={f"{main}/{group}": [finite(found.low), finite(found.high)] for group, found in bounds.items()},
        values={name: [finite(100 * value) for value in quality] for name, quality in values.items()},
        curve=curve,
        estimates=estimates[0],
        replicates=replicates,
    )


def _values(scores: ImageScores) -> dict[str, Float64[np.ndarray, "K"]]:
    """Return every quality of each class, on the images as they are."""
    as_they_are = np.ones((1, len(scores.image_ids)))
    return {name: scores.quality(name, as_they_are)[0] for name in qualities_of(scores.task)}


def _task_metrics(
    scores: ImageScores, qualities: Mapping[str, Float64[np.ndarray, "K"]], classes: ClassTable
) -> dict[str, float]:
    values: dict[str, float] = {}
    is_thing = np.array(classes.is_thing)
    for name, quality in qualities.items():
        values |= grouped(name, quality, classes, "skip")
        if scores.task == "instance":
            continue
        for view, chosen in (("things", is_thing), ("stuff", ~is_thing)):
            values |= _in_view(view, grouped(name, np.where(chosen, quality, np.nan), classes, "skip"))
        if scores.task == "panoptic":
            values |= _in_view("zero", grouped(name, quality, classes, "zero"))
    if scores.task == "semantic":
        is_present = scores.total("union") > 0
        values["miou/num_seen"] = float(is_present[list(classes.seen)].sum())
        values["miou/num_unseen"] = float(is_present[list(classes.unseen)].sum())
    covered, segments = scores.total("covered"), scores.total("segments")
    for group, members in (("seen", list(classes.seen)), ("unseen", list(classes.unseen))):
        total = segments[members].sum()
        values[f"recall50/masks/{group}"] = float(100 * covered[members].sum() / total) if total else math.nan
    return values


def _unseen_only_metrics(scores: ImageScores | None, unseen_classes: ClassTable) -> dict[str, float]:
    if scores is None:
        return {}
    everything = range(unseen_classes.num_classes)
    return {
        f"zsi/{name}/unseen": 100 * group_mean(quality, everything, "skip") for name, quality in _values(scores).items()
    }


def _curve_metrics(row: RowScores, task: Task, classes: ClassTable) -> dict[str, float]:
    return {f"{QUALITIES[task][0]}/ausuc": area_under(*_curve(row, task, classes))} if task in row.curves else {}


def _curve(
    row: RowScores, task: Task, classes: ClassTable
) -> tuple[Float64[np.ndarray, "G"], Float64[np.ndarray, "G"]]:
    scores = group_scores(row.curves[task].quality(), classes)
    return scores[:, 0], scores[:, 1]


def _in_view(view: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{view}/{name}": value for name, value in values.items()}


def finite(value: float) -> float | None:
    """Return a value for JSON, which has no NaN: a group without a class to average over has none."""
    return float(value) if math.isfinite(value) else None
