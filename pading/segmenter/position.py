"""Where a feature cell lies in its map, as a vector: sines and cosines of the row and the column."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def sine_positions(height: int, width: int, channels: int, device: torch.device) -> Float[Tensor, "N D"]:
    """Return one vector a cell, row-major: half of the channels for the row, half for the column.

    Coordinates are cell centres scaled to (0, 2 pi), so maps of different resolution agree on where a place is;
    frequencies fall geometrically from 1 towards 1/10000 (DETR's encoding).

    Raises:
        ValueError: if `channels` is not a multiple of 4.
    """
    if channels % 4:
        raise ValueError(f"positions need a width that is a multiple of 4, got {channels}")
    frequency = 10000.0 ** (-torch.arange(channels // 4, device=device) / (channels // 4))

    def encode(length: int) -> Float[Tensor, "length half"]:
        angle = 2 * math.pi * (torch.arange(length, device=device)[:, None] + 0.5) / length * frequency
        return torch.cat([angle.sin(), angle.cos()], dim=1)

    rows, columns = encode(height), encode(width)
    grid = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=2)
    return grid.flatten(0, 1)


def published_positions(height: int, width: int, channels: int, device: torch.device) -> Float[Tensor, "N D"]:
    """Return one vector a cell as Mask2Former's published weights expect them.

    The same frequencies as `sine_positions`, but sine and cosine of a frequency are neighbours, and a coordinate is
    that of the cell's far edge: (i + 1) / (length + 1e-6) of 2 pi.

    Raises:
        ValueError: if `channels` is not a multiple of 4.
    """
    if channels % 4:
        raise ValueError(f"positions need a width that is a multiple of 4, got {channels}")
    frequency = 10000.0 ** (-torch.arange(channels // 4, device=device) / (channels // 4))

    def encode(length: int) -> Float[Tensor, "length half"]:
        edge = torch.arange(1, length + 1, device=device) / (length + 1e-6)
        angle = 2 * math.pi * edge[:, None] * frequency
        return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)

    rows, columns = encode(height), encode(width)
    grid = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=2)
    return grid.flatten(0, 1)
