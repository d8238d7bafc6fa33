"""How often a classifier names labelled queries right, for seen and unseen classes."""

import torch

from pading.classes import ClassTable
from pading.zeroshot.classifier import Classifier
from pading.zeroshot.features import Features


@torch.no_grad()
def query_accuracy(classifier: Classifier, features: Features, classes: ClassTable) -> dict[str, float]:
    """Return mean per-class accuracy over seen and over unseen classes, and their harmonic mean (eq. 8).

    All K + 1 outputs compete, so an object taken for no-object is wrong; rows labelled no-object are not counted, nor
    are classes without a row.

    Raises:
        ValueError: if the features hold no seen or no unseen class.
    """
    right = classifier(features.embeddings).argmax(dim=1) == features.labels
    size = classes.num_classes + 1
    totals = torch.bincount(features.labels, minlength=size)
    accuracy = torch.bincount(features.labels, weights=right.double(), minlength=size) / totals
    means = []
    for group, members in (("seen", classes.seen), ("unseen", classes.unseen)):
        present = [index for index in members if totals[index] > 0]
        if not present:
            raise ValueError(f"no feature of any {group} class of {classes.name!r}: accuracy needs both groups")
        means.append(float(accuracy[present].mean()))
    return {"accuracy/seen": means[0], "accuracy/unseen": means[1], "accuracy/hm": harmonic_mean(*means)}


def harmonic_mean(seen: float, unseen: float) -> float:
    """Return 2 s u / (s + u), zero where both are zero."""
    return 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0
