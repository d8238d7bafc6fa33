"""How sure a retrained classifier is, made comparable with the segmenter's own head.

A panoptic map keeps queries whose best score exceeds 0.8, a threshold made for a head that was trained for as long as
the network. A head retrained for a short time names classes as well but is less sure, most of all of unseen ones, and
its right answers are thrown away. One factor on all logits repairs that and changes no answer (docs/decisions/0008).
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pading.zeroshot.classifier import Classifier, LinearClassifier

ROWS = 8192  # are enough for a mean
LARGEST_FACTOR = 64.0
HALVINGS = 40


@torch.no_grad()
def mean_confidence(logits: Float[Tensor, "N K+1"], factor: float = 1.0) -> float:
    """Return the mean over rows of the largest probability, softmax(factor * logits)."""
    return float((factor * logits).softmax(dim=1).amax(dim=1).mean())


@torch.no_grad()
def matching_factor(classifier: Classifier, reference: Classifier, rows: Float[Tensor, "N D"]) -> float:
    """Return the factor on the logits at which the classifier is as sure of these rows as the reference is.

    The mean confidence grows with the factor, so it is found by bisection, between 1 / 64 and 64. Pass real rows of
    seen classes: both classifiers were fitted on them.

    Raises:
        ValueError: if there is no row.
    """
    if not len(rows):
        raise ValueError("there is no row to compare confidences on: pass real features of seen classes")
    rows = rows[:: math.ceil(len(rows) / ROWS)]
    wanted, logits = mean_confidence(reference(rows)), classifier(rows)
    smallest, largest = 1 / LARGEST_FACTOR, LARGEST_FACTOR
    for _ in range(HALVINGS):
        factor = math.sqrt(smallest * largest)
        smallest, largest = (factor, largest) if mean_confidence(logits, factor) < wanted else (smallest, factor)
    return math.sqrt(smallest * largest)


def with_confidence_of(
    reference: Classifier, classifier: LinearClassifier, rows: Float[Tensor, "N D"]
) -> LinearClassifier:
    """Return the classifier with its logits multiplied by the `matching_factor`; each row keeps its best class."""
    factor = matching_factor(classifier, reference, rows)
    return LinearClassifier(factor * classifier.weight, factor * classifier.bias)
