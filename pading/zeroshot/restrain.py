"""How much a class that came by name alone may take from the classes that were there before.

Two names can mean things that look alike. A class that is learned with the weight of the others is found more often
and takes its neighbours over; its bias trades the one for the other. What it takes can be counted on cached features of
real objects, so the bias follows from what one is ready to lose. Axes: N rows, K classes, D feature width.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pading.zeroshot.classifier import LinearClassifier


@torch.no_grad()
def restrain(
    classifier: LinearClassifier, newcomers: Sequence[int], rows: Float[Tensor, "N D"], largest_share: float
) -> LinearClassifier:
    """Return the classifier with biases of newcomers lowered until each takes at most a share of the rows.

    A row is taken where a newcomer's logit exceeds those of all outputs that are none; so what one newcomer may do does
    not depend on the others. Biases are never raised: who takes less already stays as it is.

    Raises:
        ValueError: if the share is not in [0, 1), or there is no row.
    """
    if not 0 <= largest_share < 1:
        raise ValueError(f"a newcomer may take {largest_share} of the rows: give a share, at least 0 and below 1")
    if not len(rows):
        raise ValueError("there is no row that a newcomer could take: pass real features of known classes")
    logits = classifier(rows)
    known = [output for output in range(logits.shape[1]) if output not in newcomers]
    best_known = logits[:, known].amax(dim=1)
    bias = classifier.bias.clone()
    for newcomer in newcomers:
        missing = (best_known - logits[:, newcomer]).sort().values  # to be raised by, until a row is taken
        bias[newcomer] += missing[math.floor(largest_share * len(rows))].clamp(max=0)
    return LinearClassifier(classifier.weight.clone(), bias)
