"""How far images chance to decide the accuracy of labelled queries: `bootstrap.py` on queries instead of pixels.

Axes: N rows, I images, K classes, R sets of drawn images.
"""

import numpy as np
import torch
from jaxtyping import Float64

from pading.classes import ClassTable
from pading.evaluate.bootstrap import draw_weights, group_scores
from pading.randomness import derive_seed
from pading.zeroshot.classifier import Classifier
from pading.zeroshot.features import Features

SETS_AT_ONCE = 50  # their weights of all images lie in memory together


def class_counts(
    classifier: Classifier, rows: Features, classes: ClassTable
) -> tuple[Float64[np.ndarray, "I K"], Float64[np.ndarray, "I K"]]:
    """Return how many rows of each class an image has, and how many of them are named right.

    Images stand in the order of their ids; rows labelled no-object are not counted.
    """
    rows = rows.where(rows.labels != classes.no_object)
    with torch.no_grad():
        right = (classifier(rows.embeddings).argmax(dim=1) == rows.labels).double()
    images, place = torch.unique(rows.image_ids, return_inverse=True)
    cells, num_cells = place * classes.num_classes + rows.labels, len(images) * classes.num_classes
    found = (torch.bincount(cells, weights=weights, minlength=num_cells) for weights in (torch.ones_like(right), right))
    totals, rights = (counts.reshape(len(images), classes.num_classes).cpu().numpy() for counts in found)
    return totals.astype(np.float64), rights.astype(np.float64)


def accuracy_estimates(
    totals: Float64[np.ndarray, "I K"],
    rights: Float64[np.ndarray, "I K"],
    classes: ClassTable,
    num_sets: int,
    seed: int,
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "R 3"]]:
    """Return seen, unseen and harmonic mean accuracy in percent: on the images as they are, and on drawn sets of them.

    The sets depend on the seed and the number of images alone, so that classifiers are compared on the same ones.
    """
    whole = group_scores(_accuracy(totals.sum(axis=0), rights.sum(axis=0))[None], classes)[0]
    drawn = []
    for part, first in enumerate(range(0, num_sets, SETS_AT_ONCE)):
        weights = draw_weights(len(totals), min(SETS_AT_ONCE, num_sets - first), derive_seed(seed, "drawn", part))
        drawn.append(group_scores(_accuracy(weights @ totals, weights @ rights), classes))
    return whole, np.concatenate(drawn)


def _accuracy(totals: np.ndarray, rights: np.ndarray) -> np.ndarray:
    return np.where(totals > 0, rights / np.maximum(totals, 1), np.nan)
