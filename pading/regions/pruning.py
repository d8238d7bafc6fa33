"""Which queries are worth encoding: those that have something to say somewhere on the photo.

Axes: Q queries, K classes, h w pixels of the masks.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def worth_encoding(
    class_logits: Float[Tensor, "Q K+1"], mask_logits: Float[Tensor, "Q h w"], negligible: float
) -> Bool[Tensor, "Q"]:
    """Return which queries reach, at some pixel, more than a negligible share of what the strongest query has there.

    With o = 1 - p(no-object) of the segmenter's own head and m = sigmoid(mask), a query adds at most o m to a class
    score of a pixel, and all queries together decide which class has the largest. A query that is everywhere far below
    another is next to surely no object, or shows again what another one shows. What of the final maps that changes is
    measured (`python -m benchmarks image_branch`): with 0.05 less than 0.1 % of the pixels. With 0, all are encoded.

    No row's classifier is asked: one cache serves all rows.

    Raises:
        ValueError: if `negligible` is not in [0, 1).
    """
    if not 0 <= negligible < 1:
        raise ValueError(f"negligible is {negligible}: it is a share, at least 0 and below 1")
    if negligible == 0:
        return torch.ones(len(class_logits), dtype=torch.bool)
    objectness = (class_logits[:, :-1].logsumexp(1) - class_logits.logsumexp(1)).exp()
    strength = objectness[:, None] * mask_logits.flatten(1).to(objectness.dtype).sigmoid()
    return (strength > negligible * strength.amax(dim=0)).any(dim=1)
