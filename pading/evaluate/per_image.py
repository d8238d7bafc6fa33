"""What a scorer earned on each image, kept apart by image, so that images can be weighted and drawn again.

Every quality that a task is judged by is a function of sums over images; with all weights 1 it is the quality of
`report.metrics`. Axes: N images, K classes, M pairs of an image and a class, C counted things, R sets of weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64

from pading.evaluate.instance import INSTANCE_QUALITIES, InstanceTally
from pading.evaluate.weighted_precision import RankedDetections, ranked, weighted_precision
from pading.splits.split import Task

# The first quality is the one that a task is judged by.
QUALITIES: dict[Task, tuple[str, ...]] = {
    "panoptic": ("pq", "sq", "rq"),
    "semantic": ("miou",),
    "instance": ("ap50", "recall100"),
}
# Of every task, true segments that some query covers, and all of them; the last thing counted is positive exactly where
# the class is present, in the truth or the prediction.
COUNTED: dict[Task, tuple[str, ...]] = {
    "panoptic": ("covered", "segments", "iou_sum", "true_positives", "weight"),
    "semantic": ("covered", "segments", "correct", "union"),
    "instance": ("covered", "segments", "num_true"),
}
RATIOS = {
    "pq": ("iou_sum", "weight"),
    "sq": ("iou_sum", "true_positives"),
    "rq": ("true_positives", "weight"),
    "miou": ("correct", "union"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageScores:
    """One scorer's counts by image and class, for the pairs that have any; and of the instance task, detections."""

    task: Task
    num_classes: int
    image_ids: Int64[np.ndarray, "N"]
    pair_image_ids: Int64[np.ndarray, "M"]
    pair_classes: Int64[np.ndarray, "M"]
    counts: Float64[np.ndarray, "M C"]  # see COUNTED
    detections: InstanceTally | None

    @staticmethod
    def concatenate(parts: "Sequence[ImageScores]") -> "ImageScores":
        """Return the scores of different images together, in the order of their ids.

        Raises:
            ValueError: if there is no part, or an image is in two of them.
        """
        if not parts:
            raise ValueError("no image was scored; were any predictions cached?")
        image_ids = np.sort(np.concatenate([part.image_ids for part in parts]))
        if len(repeated := np.flatnonzero(np.diff(image_ids) == 0)):
            raise ValueError(f"image {image_ids[repeated[0]]} was scored twice; redo the cache stage")
        pair_image_ids = np.concatenate([part.pair_image_ids for part in parts])
        order = np.argsort(pair_image_ids, kind="stable")
        tallies = [part.detections for part in parts if part.detections is not None]
        return ImageScores(
            task=parts[0].task,
            num_classes=parts[0].num_classes,
            image_ids=image_ids,
            pair_image_ids=pair_image_ids[order],
            pair_classes=np.concatenate([part.pair_classes for part in parts])[order],
            counts=np.concatenate([part.counts for part in parts])[order],
            detections=InstanceTally.total(tallies) if tallies else None,
        )

    def quality(self, name: str, weights: Float64[np.ndarray, "R N"]) -> Float64[np.ndarray, "R K"]:
        """Return a quality of each class, as a fraction, where image n counts weights[:, n] times; NaN if absent.

        Weights are in the order of `image_ids`, as `concatenate` left it.

        Raises:
            ValueError: if the task has no such quality, or there is not one weight an image.
        """
        if name not in (measured := qualities_of(self.task)):
            raise ValueError(f"{self.task} has no {name!r}: it has {', '.join(measured)}")
        if weights.ndim != 2 or weights.shape[1] != len(self.image_ids):
            raise ValueError(f"weights {weights.shape} for {len(self.image_ids)} images: pass one column an image")
        if self.task == "instance":
            return self._instance_quality(name, weights)
        above, below = RATIOS[name]
        numerator, denominator = weights @ self._dense(above), weights @ self._dense(below)
        presence = COUNTED[self.task][-1]
        is_present = (denominator if below == presence else weights @ self._dense(presence)) > 0
        ratio = numerator / np.where(denominator > 0, denominator, 1.0)
        return np.where(is_present, ratio, np.nan)

    def total(self, counted: str) -> Float64[np.ndarray, "K"]:
        """Return how much of one of the things that are COUNTED each class has."""
        column = self.counts[:, COUNTED[self.task].index(counted)]
        total: np.ndarray = np.bincount(self.pair_classes, weights=column, minlength=self.num_classes)
        return total

    def _instance_quality(self, name: str, weights: Float64[np.ndarray, "R N"]) -> Float64[np.ndarray, "R K"]:
        what, judgements = INSTANCE_QUALITIES[name]
        num_true = weights @ self._dense("num_true")
        values: np.ndarray = np.zeros_like(num_true)
        for judgement in judgements:
            precision, recall = weighted_precision(self._ranked, weights, num_true, judgement)
            values += precision if what == "average_precision" else recall
        values /= len(judgements)
        return values

    @cached_property
    def _ranked(self) -> RankedDetections:
        assert self.detections is not None
        return ranked(self.detections, self.image_ids)

    def _dense(self, counted: str) -> Float64[np.ndarray, "N K"]:
        dense = np.zeros((len(self.image_ids), self.num_classes))
        rows = np.searchsorted(self.image_ids, self.pair_image_ids)
        dense[rows, self.pair_classes] = self.counts[:, COUNTED[self.task].index(counted)]
        return dense


def qualities_of(task: Task) -> tuple[str, ...]:
    """Return everything that a task measures of a class, what it is judged by first."""
    return tuple(INSTANCE_QUALITIES) if task == "instance" else QUALITIES[task]
