"""Seen against unseen quality as the seen penalty runs from one end to the other, and the area under that curve.

Chao et al., An empirical study and analysis of generalized zero-shot learning (ECCV 2016) measure a generalised
zero-shot classifier by this area: it does not depend on how a bias towards seen classes was set. Instances have no
such curve: average precision ranks within a class, and a penalty leaves these ranks as they are.
Axes: G penalties, K classes, N pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from jaxtyping import Float64, Int, Int64

from pading.data.sample import Segment
from pading.evaluate.choice import Choice
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


def panoptic_curve(tallies: Sequence[PanopticTally]) -> CurveTally:
    """Return one image's tallies, one a penalty, as a curve."""
    counts = [
        (*tally.iou_parts, tally.true_positives, tally.false_positives, tally.false_negatives) for tally in tallies
    ]
    return CurveTally(task="panoptic", counts=np.array(counts, dtype=np.float64).swapaxes(0, 1))


def semantic_curve(
    choice: Choice,
    label_map: Int[np.ndarray, "H W"],
    segments: Sequence[Segment],
    penalties: Sequence[float],
    num_classes: int,
) -> CurveTally:
    """Return what `semantic.count_image` would count of one image's map under each of some ascending penalties.

    A pixel is of its seen candidate under the penalties below its lead, and of its unseen one from there on. So pixels
    are counted once, by how many penalties that is, and the rest is sums over these numbers.
    """
    truth_of = np.array([num_classes, *(segment.class_index for segment in segments)], dtype=np.int64)
    truth = truth_of[label_map].ravel()
    is_valid = label_map.ravel() > 0
    truth = truth[is_valid]
    seen, unseen, lead = (part.numpy()[is_valid] for part in (choice.seen, choice.unseen, choice.lead))
    scale = np.array(penalties, dtype=lead.dtype)
    num_seen = np.searchsorted(scale, lead, side="left")
    is_tied = (num_seen < len(scale)) & (seen < unseen)
    is_tied[is_tied] = scale[num_seen[is_tied]] == lead[is_tied]
    num_seen += is_tied  # among equals, the first class wins
    by_seen, by_unseen = (
        _area_and_correct(labels, truth, num_seen, len(scale), num_classes) for labels in (seen, unseen)
    )
    # (2, G, K): under penalty g, pixels with more than g penalties below their lead are seen, the others unseen.
    area, correct = (
        by_seen.sum(axis=1, keepdims=True) - by_seen.cumsum(axis=1)[:, :-1] + by_unseen.cumsum(axis=1)[:, :-1]
    )
    union = area + np.bincount(truth, minlength=num_classes) - correct
    return CurveTally(task="semantic", counts=np.stack([correct, union]).astype(np.float64))


def area_under(seen: Float64[np.ndarray, "G"], unseen: Float64[np.ndarray, "G"]) -> float:
    """Return the area under a curve of percentages in percent of the unit square, by trapezoids; NaN if one is NaN.

    The points go from the end where nothing is called unseen to the one where nothing is called seen. Both ends lie on
    an axis by themselves, so that nothing is added to close the curve.
    """
    width = seen[:-1] - seen[1:]
    return float((width * (unseen[:-1] + unseen[1:])).sum() / 2 / 100)


def _area_and_correct(
    labels: Int64[np.ndarray, "N"],
    truth: Int64[np.ndarray, "N"],
    num_seen: Int64[np.ndarray, "N"],
    num_penalties: int,
    num_classes: int,
) -> Int64[np.ndarray, "2 G1 K"]:
    """Return how many pixels have a label, and how many of them rightly, by their number of penalties."""
    shape = (num_penalties + 1, num_classes)
    code = num_seen * num_classes + labels
    chosen = (code, code[labels == truth])
    return np.stack([np.bincount(codes, minlength=shape[0] * shape[1]).reshape(shape) for codes in chosen])
