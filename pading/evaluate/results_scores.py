"""Numbers of result files by group of classes, named as on the leaderboard, in percent. Axes: K classes."""

import numpy as np
from jaxtyping import Float64

from pading.classes import ClassTable
from pading.evaluate.instance import InstanceTally
from pading.evaluate.panoptic import PanopticTally
from pading.evaluate.report import group_mean, grouped
from pading.evaluate.results_instance import Kind, average_precision
from pading.evaluate.results_semantic import class_iou
from pading.evaluate.semantic import SemanticTally

GROUPS = ("all", "seen", "unseen", "hm")
PREFIX: dict[Kind, str] = {"segm": "", "bbox": "box_"}


def with_all(name: str, values: Float64[np.ndarray, "K"], classes: ClassTable) -> dict[str, float]:
    """Return NAME/all, /seen, /unseen and /hm in percent of a fraction of each class; NaN values are absent classes."""
    everything = 100 * group_mean(values, range(classes.num_classes), "skip")
    return {f"{name}/{GROUPS[0]}": everything, **grouped(name, values, classes, "skip")}


def panoptic_scores(tally: PanopticTally, classes: ClassTable) -> dict[str, float]:
    """Return pq, sq and rq."""
    quality = tally.quality()
    return (
        with_all("pq", quality.pq, classes) | with_all("sq", quality.sq, classes) | with_all("rq", quality.rq, classes)
    )


def instance_scores(tally: InstanceTally, classes: ClassTable, kind: Kind) -> dict[str, float]:
    """Return ap (the mean over COCO's IoU thresholds), ap50 and recall100, of boxes box_ap and so on."""
    prefix = PREFIX[kind]
    half = tally.quality()
    return (
        with_all(f"{prefix}ap", average_precision(tally), classes)
        | with_all(f"{prefix}ap50", half.average_precision, classes)
        | with_all(f"{prefix}recall100", half.recall, classes)
    )


def semantic_scores(tally: SemanticTally, classes: ClassTable) -> dict[str, float]:
    """Return miou."""
    return with_all("miou", class_iou(tally), classes)
