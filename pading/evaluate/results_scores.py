"""Numbers of result files by group of classes, named as on the leaderboard, in percent. Axes: K classes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from pading.classes import ClassTable
from pading.evaluate.instance import InstanceTally
from pading.evaluate.panoptic import PanopticTally
from pading.evaluate.report import group_mean, harmonic_mean
from pading.evaluate.results_instance import average_precision
from pading.evaluate.results_semantic import class_iou
from pading.evaluate.semantic import SemanticTally

GROUPS = ("all", "seen", "unseen", "hm")


def grouped(name: str, values: Float64[np.ndarray, "K"], classes: ClassTable) -> dict[str, float]:
    """Return NAME/all, /seen, /unseen and /hm in percent of a fraction of each class; NaN values are absent classes."""
    everything, seen, unseen = (
        100 * group_mean(values, group, "skip") for group in (range(len(values)), classes.seen, classes.unseen)
    )
    means = (everything, seen, unseen, harmonic_mean(seen, unseen))
    return {f"{name}/{group}": mean for group, mean in zip(GROUPS, means, strict=True)}


def panoptic_scores(tally: PanopticTally, classes: ClassTable) -> dict[str, float]:
    """Return pq, sq and rq."""
    quality = tally.quality()
    return grouped("pq", quality.pq, classes) | grouped("sq", quality.sq, classes) | grouped("rq", quality.rq, classes)


def instance_scores(tallies: Sequence[InstanceTally], classes: ClassTable) -> dict[str, float]:
    """Return ap (the mean over COCO's IoU thresholds), ap50 and recall100, of tallies at these thresholds."""
    half = tallies[0].quality()
    return (
        grouped("ap", average_precision(tallies), classes)
        | grouped("ap50", half.average_precision, classes)
        | grouped("recall100", half.recall, classes)
    )


def semantic_scores(tally: SemanticTally, classes: ClassTable) -> dict[str, float]:
    """Return miou."""
    return grouped("miou", class_iou(tally), classes)
