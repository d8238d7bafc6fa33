"""Bilinear interpolation as weighted bags of rows: a place reads the four cells around it with known shares.

Where many values hang on one place (channels of a head, masks of all queries) a bag reads each of its rows in one go
and keeps nothing for the backward pass but what it was given; grid_sample walks through the channels one by one.
Axes: B images, C channels, R rows of a table, N bags of K rows.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32
from torch import Tensor

BEFORE, BEHIND = 1, 2  # rows and columns of zeros around a map: all that a place outside of it can touch
PADDING = BEFORE + BEHIND
MODE_SUM = 0  # of bags, as torch's own operators count


class Corners(NamedTuple):
    """The four cells around every place: the row of the upper left one in a padded map, and the place between them."""

    first: Int32[Tensor, "*places"]
    right: Float[Tensor, "*places"]
    below: Float[Tensor, "*places"]


def padded_rows(maps: Float[Tensor, "B h w C"]) -> Float[Tensor, "B R C"]:
    """Return the cells of maps with zeros around them, row by row."""
    return F.pad(maps, (0, 0, BEFORE, BEHIND, BEFORE, BEHIND)).flatten(1, 2)


def corners(places: Float[Tensor, "*places 2"], height: Tensor, width: Tensor) -> Corners:
    """Return the cells around (x, y) in [0, 1] of a map whose cell centres lie at (i + 1/2) / side.

    Places further than a cell outside are moved to the padding, so that they read zeros and learn nothing.
    """
    x = (places[..., 0] * width - 0.5).clamp(min=-1).minimum(width.to(places.dtype))
    y = (places[..., 1] * height - 0.5).clamp(min=-1).minimum(height.to(places.dtype))
    column, row = x.detach().floor(), y.detach().floor()
    first = (row.int() + BEFORE) * (width + PADDING).int() + (column.int() + BEFORE)
    return Corners(first, x - column, y - row)


def shares(
    right: Float[Tensor, "*places"], below: Float[Tensor, "*places"], weights: Float[Tensor, "*places"] | float
) -> Float[Tensor, "*places 4"]:
    """Return how much of each corner a place reads: upper left, upper right, lower left, lower right."""
    lower = below * weights
    upper = weights - lower
    lower_right, upper_right = lower * right, upper * right
    return torch.stack([upper - upper_right, upper_right, lower - lower_right, lower_right], dim=-1)


def steps(width: Tensor) -> Int32[Tensor, "*width 4"]:
    """Return how many rows of a padded map lie between the first corner and each corner, in the order of `shares`."""
    pitch = (width + PADDING).int()
    zero = torch.zeros_like(pitch)
    return torch.stack([zero, zero + 1, pitch, pitch + 1], dim=-1)


def read_bags(
    table: Float[Tensor, "R C"], rows: Int32[Tensor, "N K"], weights: Float[Tensor, "N K"]
) -> Float[Tensor, "N C"]:
    """Return sum_k weights_nk table[rows_nk]."""
    if table.shape[1] == 0:  # torch refuses bags of nothing
        return table.new_zeros(len(rows), 0)
    read: Tensor = _Bags.apply(table, rows, weights)  # type: ignore[no-untyped-call]
    return read


class _Bags(torch.autograd.Function):
    """embedding_bag with a faster gradient of the table: itself a bag, of the outputs that each row went into."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, rows, weights)
        return F.embedding_bag(rows, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        table, rows, weights = ctx.saved_tensors
        (gradient,) = gradients
        of_table = of_weights = None
        if ctx.needs_input_grad[0]:
            ordered, readers = rows.flatten().sort()
            # Where the readers of each row start; bincount would wait for the device to tell the length of its result.
            starts = torch.searchsorted(ordered, torch.arange(len(table), dtype=rows.dtype, device=rows.device))
            amounts = weights.flatten()[readers]
            of_table = F.embedding_bag(
                readers // rows.shape[1], gradient.contiguous(), starts, per_sample_weights=amounts, mode="sum"
            )
        if ctx.needs_input_grad[2]:
            bags = torch.arange(len(rows), dtype=rows.dtype, device=rows.device)
            of_weights = torch.ops.aten._embedding_bag_per_sample_weights_backward(
                gradient.contiguous(),
                table,
                rows.flatten(),
                bags * rows.shape[1],
                bags[:, None].expand_as(rows).flatten(),
                MODE_SUM,
            ).view_as(weights)
        return of_table, None, of_weights
