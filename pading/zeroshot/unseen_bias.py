"""Accuracy of seen against unseen classes as a bias on unseen logits grows, and the area under that curve.

One number for a classifier whatever its calibration: the trade-off that the bias buys is all of it.
Axes: N rows, K classes, T turning points.
"""

import torch
from jaxtyping import Float64
from torch import Tensor

from pading.classes import ClassTable
from pading.zeroshot.classifier import Classifier
from pading.zeroshot.features import Features


@torch.no_grad()
def accuracy_curve(
    classifier: Classifier, features: Features, classes: ClassTable
) -> tuple[Float64[Tensor, "T+1"], Float64[Tensor, "T+1"]]:
    """Return mean per-class accuracy of seen and of unseen classes at every bias that makes a difference, in order.

    The first point is a bias of minus infinity: nothing is called unseen; the last one of plus infinity. A row turns
    from its best other output to its best unseen class where the bias makes up for the difference of the two logits.
    No-object competes with a bias of zero, as seen classes do; rows labelled no-object are not counted.

    Raises:
        ValueError: if the features hold no seen or no unseen class.
    """
    features = features.where(features.labels != classes.no_object)
    logits, labels = classifier(features.embeddings).double(), features.labels
    unseen = torch.tensor(classes.unseen, device=labels.device)
    others = torch.tensor([*classes.seen, classes.no_object], device=labels.device)
    best_unseen, best_other = logits[:, unseen].max(dim=1), logits[:, others].max(dim=1)
    is_unseen = torch.isin(labels, unseen)
    totals = torch.bincount(labels, minlength=classes.num_classes)
    share = 1.0 / totals[labels].double()  # of a row in its class
    for group, rows in (("seen", ~is_unseen), ("unseen", is_unseen)):
        if not bool(rows.any()):
            raise ValueError(f"no feature of any {group} class of {classes.name!r}: the curve needs both groups")
        share[rows] /= torch.unique(labels[rows]).numel()  # and of its class in the group
    turning = best_other.values - best_unseen.values
    points, place = torch.unique(turning, return_inverse=True)
    lost = share * (~is_unseen & (others[best_other.indices] == labels))
    won = share * (is_unseen & (unseen[best_unseen.indices] == labels))
    zero = torch.zeros(1, dtype=torch.float64, device=labels.device)
    lost_at, won_at = (torch.zeros(len(points), dtype=torch.float64, device=labels.device) for _ in range(2))
    lost_at.index_add_(0, place, lost)
    won_at.index_add_(0, place, won)
    return lost.sum() - torch.cat([zero, lost_at.cumsum(0)]), torch.cat([zero, won_at.cumsum(0)])


def area_under_curve(classifier: Classifier, features: Features, classes: ClassTable) -> float:
    """Return the area under `accuracy_curve`, between 0 and 1; points are joined by straight lines.

    Raises:
        ValueError: as `accuracy_curve` does.
    """
    seen, unseen = accuracy_curve(classifier, features, classes)
    return float(torch.trapezoid(unseen, -seen))
