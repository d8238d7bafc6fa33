"""Which primitives fire for which class, and how many: sharp attention is memory, soft attention is sharing.

Axes: K classes, P primitives, T chosen primitives.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ResponseMap:
    """Responses averaged over heads, at the primitives that tell classes apart best."""

    lift: Float[Tensor, "K T"]  # response over the mean response of all classes: 1 = as always
    chosen: Int64[Tensor, "T"]  # primitive of each column
    effective: Float[Tensor, "K"]  # number of primitives that a head of this class blends
    num_primitives: int


def effective_number(responses: Float[Tensor, "K heads P"]) -> Float[Tensor, "K"]:
    """Return exp(entropy) of the responses, averaged over heads: 1 if one primitive fires, P if all do alike."""
    entropy: Tensor = torch.special.entr(responses.double()).sum(dim=2)
    return entropy.exp().mean(dim=1)


def response_map(responses: Float[Tensor, "K heads P"], most: int = 60) -> ResponseMap:
    """Return the map of the `most` primitives whose response differs most between classes.

    Columns are ordered by the class that they fire for most, so that primitives of one class stand side by side and
    shared ones show as vertical stripes over several rows.
    """
    mean = responses.double().mean(dim=1)  # (K, P)
    lift = mean / mean.mean(dim=0).clamp_min(torch.finfo(torch.float64).tiny)
    chosen = lift.std(dim=0).argsort(descending=True, stable=True)[:most]
    strongest = lift[:, chosen].max(dim=0)
    order = torch.argsort(strongest.indices * 2.0 - strongest.values / strongest.values.max(), stable=True)
    chosen = chosen[order]
    return ResponseMap(
        lift=lift[:, chosen],
        chosen=chosen,
        effective=effective_number(responses),
        num_primitives=responses.shape[2],
    )
