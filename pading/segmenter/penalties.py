"""What a mask logit costs at a pixel: cross-entropy (Mask2Former), or the focal loss (MaskFormer).

A cell of which a segment owns the share t, of a labelled share v, costs t inside(x) + (v - t) outside(x): what its
labelled pixels cost that all read its logit x. Axes: N masks, P cells or points.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2  # MaskFormer


class Penalty(NamedTuple):
    """The cost of logits at pixels `outside` the mask, and how much less it is inside: the `gain`."""

    outside: Tensor
    gain: Tensor


Penalise = Callable[[Tensor], Penalty]


def cross_entropy(logits: Float[Tensor, "..."]) -> Penalty:
    """Return softplus(x), which is -log(1 - sigmoid(x)), and x."""
    return Penalty(F.softplus(logits), logits)


def focal(logits: Float[Tensor, "..."]) -> Penalty:
    """Return (1 - a) s^g softplus(x), s = sigmoid(x), and what is left of it less a (1 - s)^g softplus(-x)."""
    chance = logits.sigmoid()
    outside = (1 - FOCAL_ALPHA) * chance**FOCAL_GAMMA * F.softplus(logits)
    return Penalty(outside, outside - FOCAL_ALPHA * (1 - chance) ** FOCAL_GAMMA * F.softplus(-logits))


def mean_penalty(
    penalise: Penalise,
    logits: Float[Tensor, "N P"],
    masks: Float[Tensor, "N P"],
    valid: Float[Tensor, "N P"],
) -> Float[Tensor, "N"]:
    """Return sum_p (v outside(x) - t gain(x)) / sum_p v: the mean over labelled pixels of a mask."""
    outside, gain = penalise(logits)
    return (valid * outside - masks * gain).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
