"""Multi-scale deformable attention, one query, head, level, point and corner at a time; slow on purpose."""

import math

import numpy as np


def interpolate(grid, x, y):
    """Value of a (h, w, d) grid at x, y in [0, 1]; cell centres at (i + 1/2) / side, zeros outside."""
    height, width, _ = grid.shape
    column, row = x * width - 0.5, y * height - 0.5
    left, top = math.floor(column), math.floor(row)
    total = np.zeros(grid.shape[2])
    for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        if 0 <= i < height and 0 <= j < width:
            total += (1 - abs(row - i)) * (1 - abs(column - j)) * grid[i, j]
    return total


def deformable_attention(values, sizes, places, weights):
    """Arguments as numpy arrays of (B, N, H, d), [(h, w)], (B, Q, H, L, P, 2) and (B, Q, H, L, P)."""
    batch, _, heads, width = values.shape
    queries, levels, points = places.shape[1], places.shape[3], places.shape[4]
    result = np.zeros((batch, queries, heads, width))
    for b in range(batch):
        for h in range(heads):
            start, grids = 0, []
            for rows, columns in sizes:
                grids.append(values[b, start : start + rows * columns, h].reshape(rows, columns, width))
                start += rows * columns
            for q in range(queries):
                for level in range(levels):
                    for p in range(points):
                        x, y = places[b, q, h, level, p]
                        result[b, q, h] += weights[b, q, h, level, p] * interpolate(grids[level], x, y)
    return result.reshape(batch, queries, heads * width)
