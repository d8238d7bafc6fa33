"""Dropout as a function of given noise, so that a sample is decided by its noise alone and by nothing global."""

import torch
from jaxtyping import Float
from torch import Tensor


def drop(rows: Float[Tensor, "*N D"], noise: Float[Tensor, "*N D"], rate: float) -> Float[Tensor, "*N D"]:
    """Return the rows with each entry zeroed with probability `rate` and the others divided by 1 - rate.

    An entry is zeroed where its unit Gaussian noise lies above the quantile of 1 - rate.
    """
    if rate == 0:
        return rows
    quantile = torch.special.ndtri(torch.tensor(1 - rate, dtype=torch.float64)).item()
    kept: Tensor = rows * (noise < quantile) / (1 - rate)
    return kept
