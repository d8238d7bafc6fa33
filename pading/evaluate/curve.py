"""Seen against unseen quality as the seen penalty runs from one end to the other, and the area under that curve.

Chao et al., An empirical study and analysis of generalized zero-shot learning (ECCV 2016) measure a generalised
zero-shot classifier by this area: it does not depend on how a bias towards seen classes was set. Instances have no
such curve: average precision ranks within a class, and a penalty leaves these ranks as they are.
Axes: G penalties, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from jaxtyping import Float64

from pading.evaluate.panoptic import PanopticTally
from pading.splits.split import Task

END = 1000.0  # a penalty beyond any score: nothing seen is left, or with the other sign, nothing unseen
# Most queries are sure of their names: the ends of the scale need as many penalties as its middle.
PENALTIES = (
    *(-0.9999, -0.999, -0.99, -0.95, -0.9, -0.8, -0.6, -0.4, -0.2, -0.1),
    *(0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999, 0.9999),
)
CURVE_COUNTED: dict[Task, tuple[str, ...]] = {
    "panoptic": ("iou_high", "iou_low", "true_positives", "false_positives", "false_negatives"),
    "semantic": ("correct", "union"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveTally:
    """What one scorer earned under each penalty. Tallies add without rounding: to the same bits in any order."""

    task: Task
    counts: Float64[np.ndarray, "C G K"]  # see CURVE_COUNTED

    def __add__(self, other: "CurveTally") -> "CurveTally":
        return CurveTally(task=self.task, counts=self.counts + other.counts)

    @staticmethod
    def total(tallies: "Sequence[CurveTally]") -> "CurveTally":
        """Return the sum of one or more tallies."""
        return reduce(add, tallies)

    def quality(self) -> Float64[np.ndarray, "G K"]:
        """Return what the task is judged by, PQ or IoU, as a fraction; NaN where a class is absent."""
        if self.task == "semantic":
            correct, union = self.counts
            iou: np.ndarray = correct / np.where(union > 0, union, np.nan)
            return iou
        high, low, right, false, missed = self.counts
        tally = PanopticTally(
            iou_parts=np.stack([high, low]),
            true_positives=right.astype(np.int64),
            false_positives=false.astype(np.int64),
            false_negatives=missed.astype(np.int64),
        )
        return tally.quality().pq


def with_ends(penalties: Sequence[float]) -> tuple[float, ...]:
    """Return penalties in ascending order from end to end.

    Raises:
        ValueError: if one is given twice, or lies at or beyond an end.
    """
    if len(set(penalties)) != len(penalties) or any(not abs(penalty) < END for penalty in penalties):
        raise ValueError(f"penalties {tuple(penalties)}: give each once, between -{END:g} and {END:g}")
    return (-END, *sorted(penalties), END)


def area_under(seen: Float64[np.ndarray, "G"], unseen: Float64[np.ndarray, "G"]) -> float:
    """Return the area under a curve of percentages in percent of the unit square, by trapezoids; NaN if one is NaN.

    The points go from the end where nothing is called unseen to the one where nothing is called seen. Both ends lie on
    an axis by themselves, so that nothing is added to close the curve.
    """
    width = seen[:-1] - seen[1:]
    return float((width * (unseen[:-1] + unseen[1:])).sum() / 2 / 100)
