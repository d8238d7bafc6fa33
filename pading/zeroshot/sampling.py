"""Which rows each step of a fit looks at, drawn for all steps at once.

Axes: S steps, G classes of a step, N rows of each class.
"""

from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor


class Draws(NamedTuple):
    """For every step its classes (distinct) and, for each of them, row numbers (with repetition)."""

    classes: Int64[Tensor, "S G"]
    rows: Int64[Tensor, "S G N"]


def draw_by_class(
    labels: Int64[Tensor, "R"], steps: int, classes_per_step: int, rows_per_class: int, randomness: torch.Generator
) -> Draws:
    """Draw class-balanced batches: every class that occurs is as likely as any other, however many rows it has.

    Where fewer than `classes_per_step` classes occur, each step takes all of them. The draws depend on the labels and
    on `randomness` only.

    Raises:
        ValueError: if there is no row.
    """
    if not len(labels):
        raise ValueError("there is no feature to draw from: cache features of at least one seen class first")
    order = labels.argsort(stable=True)
    occurring, counts = torch.unique_consecutive(labels[order], return_counts=True)
    starts = counts.cumsum(0) - counts
    width = min(classes_per_step, len(occurring))
    chosen = torch.rand(steps, len(occurring), generator=randomness, device=labels.device).argsort(dim=1)[:, :width]
    position = torch.rand(steps, width, rows_per_class, generator=randomness, device=labels.device)
    offsets = (position * counts[chosen].unsqueeze(2)).long()  # below the count: float32 draws are at most 1 - 2^-24
    offsets = torch.minimum(offsets, counts[chosen].unsqueeze(2) - 1)
    return Draws(occurring[chosen], order[starts[chosen].unsqueeze(2) + offsets])
