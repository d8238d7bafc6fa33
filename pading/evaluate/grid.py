"""How good one row is over a grid of ZegFormer's constants: lambda (the share of the branches) and gamma (the penalty).

One pass over the images scores every point of the grid; no network runs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pading.classes import ClassTable
from pading.evaluate.per_image import QUALITIES, ImageScores
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.report import group_mean, harmonic_mean
from pading.evaluate.row_scores import Asked
from pading.evaluate.scorer import Scorer
from pading.evaluate.scoring_pass import score_images
from pading.splits.split import Task

WEIGHTS = (0.0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1.0)
PENALTIES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True, kw_only=True)
class GridPoint:
    """The quality that a task is judged by, in percent, at one pair of constants."""

    weight: float
    seen_penalty: float
    seen: float
    unseen: float
    hm: float


def score_grid(
    images: Iterable[ImagePrediction],
    constants: Sequence[tuple[float, float]],
    scorers: Sequence[Scorer],
    classes: ClassTable,
    task: Task,
) -> list[GridPoint]:
    """Return the points of a grid: `scorers` has one for each (lambda, gamma) of `constants`.

    Raises:
        ValueError: if there is no image.
    """
    scores = score_images(images, scorers, classes, Asked(tasks=(task,)))
    return [_point(pair, each.generalised[task], classes) for pair, each in zip(constants, scores, strict=True)]


def mean_points(grids: Sequence[Sequence[GridPoint]]) -> list[GridPoint]:
    """Return the mean of several grids, point by point; the harmonic means are averaged too.

    Raises:
        ValueError: if there is no grid, or they are not over the same constants.
    """
    if not grids or len({tuple((point.weight, point.seen_penalty) for point in grid) for grid in grids}) != 1:
        raise ValueError(f"{len(grids)} grids that are not over the same constants have no mean")
    return [
        GridPoint(
            weight=points[0].weight,
            seen_penalty=points[0].seen_penalty,
            seen=float(np.mean([point.seen for point in points])),
            unseen=float(np.mean([point.unseen for point in points])),
            hm=float(np.mean([point.hm for point in points])),
        )
        for points in zip(*grids, strict=True)
    ]


def best_point(points: Sequence[GridPoint]) -> GridPoint:
    """Return the point with the largest harmonic mean, the first among equals.

    Raises:
        ValueError: if none has a harmonic mean, for want of seen or unseen classes in the images.
    """
    known = [point for point in points if np.isfinite(point.hm)]
    if not known:
        raise ValueError("no point of the grid has a harmonic mean: the images show no seen or no unseen class")
    return max(known, key=lambda point: point.hm)


def _point(constants: tuple[float, float], scores: ImageScores, classes: ClassTable) -> GridPoint:
    (values,) = scores.quality(QUALITIES[scores.task][0], np.ones((1, len(scores.image_ids))))
    seen, unseen = (100 * group_mean(values, group, "skip") for group in (classes.seen, classes.unseen))
    weight, seen_penalty = constants
    return GridPoint(weight=weight, seen_penalty=seen_penalty, seen=seen, unseen=unseen, hm=harmonic_mean(seen, unseen))
