"""Multi-scale deformable attention: every query reads a few places of every level, and learns where.

Axes: B images, Q queries, N cells of all levels, H heads, L levels, P points of a head and level, D width, d = D / H.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pading.segmenter.bilinear import corners, padded_rows, read_bags, shares, steps
from pading.segmenter.precision import at_least_float32


def deformable_attention(
    values: Float[Tensor, "B N H d"],
    sizes: list[tuple[int, int]],
    places: Float[Tensor, "B Q H L P 2"],
    weights: Float[Tensor, "B Q H L P"],
) -> Float[Tensor, "B Q D"]:
    """Return sum_lp weights_lp value_l(places_lp), each value interpolated bilinearly between cell centres.

    `sizes` are the heights and widths of the levels whose cells are concatenated in `values`; places are (x, y) in
    [0, 1] of the image, and outside of it every value is 0.

    A query and head read 4 L P rows of the values with known shares: a weighted bag of rows. So neither the sampled
    values nor their products exist in memory, in the forward or in the backward pass.
    """
    batch, _, heads, _ = values.shape
    device = values.device
    height, width = torch.tensor(sizes, dtype=torch.int32, device=device).T[..., None]  # (L, 1) each
    levels = torch.split(values.flatten(2), [rows * columns for rows, columns in sizes], dim=1)
    padded = [padded_rows(level.reshape(batch, *size, -1)) for level, size in zip(levels, sizes, strict=True)]
    table = torch.cat(padded, dim=1)  # (B, R, D)
    lengths = torch.tensor([level.shape[1] for level in padded], dtype=torch.int32, device=device)[:, None]

    first, right, below = corners(places, height, width)
    image = torch.arange(batch, dtype=torch.int32, device=device).view(-1, 1, 1, 1, 1) * table.shape[1]
    head = torch.arange(heads, dtype=torch.int32, device=device)[:, None, None]
    first = (first + (image + lengths.cumsum(0, dtype=torch.int32) - lengths)) * heads + head
    rows = first[..., None] + steps(width) * heads  # (B, Q, H, L, P, 4)
    amounts = shares(right, below, weights)
    read = read_bags(table.view(-1, values.shape[3]), rows.flatten(3).flatten(0, 2), amounts.flatten(3).flatten(0, 2))
    return read.view(batch, -1, heads * values.shape[3])


class DeformableAttention(nn.Module):
    """Deformable attention with places and weights predicted from the query, `points` a head and level."""

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} does not split into {heads} heads; choose a divisor")
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        query: Float[Tensor, "B Q D"],
        cells: Float[Tensor, "B N D"],
        sizes: list[tuple[int, int]],
        reference: Float[Tensor, "Q 2"],
    ) -> Float[Tensor, "B Q D"]:
        """Return what each query reads around its reference place (x, y); offsets are predicted in cells of a level.

        Places and weights are computed in float32 whatever the precision of the projections.
        """
        shape = *query.shape[:2], self.heads, self.levels, self.points
        side = torch.tensor([(width, height) for height, width in sizes], device=query.device)
        offsets = at_least_float32(self.offsets(query)).view(*shape, 2) / side[:, None]
        weights = at_least_float32(self.weights(query)).view(*shape[:3], -1).softmax(dim=-1).view(shape)
        values = at_least_float32(self.value(cells)).view(*cells.shape[:2], self.heads, -1)
        read: Tensor = self.out(deformable_attention(values, sizes, reference[:, None, None, None] + offsets, weights))
        return read

    @torch.no_grad()
    def start_as_rings(self) -> None:
        """Let head h look in direction 2 pi h / H at 1, 2, ... cells with equal weights, whatever the query.

        The published start (Deformable DETR): from zero offsets all points would move alike.
        """
        angle = 2 * math.pi * torch.arange(self.heads) / self.heads
        direction = torch.stack([angle.cos(), angle.sin()], dim=1)
        direction = direction / direction.abs().amax(dim=1, keepdim=True)  # (H, 2), on the square of side 2
        rings = direction[:, None, None] * torch.arange(1, self.points + 1)[:, None]
        nn.init.zeros_(self.offsets.weight)
        self.offsets.bias.copy_(rings.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
