"""RoIAlign sample by sample, as its definition reads: one box, one output pixel, one bilinear sample at a time."""

import math

import numpy as np


def roi_align_loops(image: np.ndarray, box: tuple[float, float, float, float], side_px: int) -> np.ndarray:
    """Return a (C, S, S) resampling of box (top, left, bottom, right), aligned, with the adaptive sampling ratio."""
    channels, height, width = image.shape
    top, left, bottom, right = (edge - 0.5 for edge in box)
    bin_height, bin_width = (bottom - top) / side_px, (right - left) / side_px
    grid_height, grid_width = math.ceil((bottom - top) / side_px), math.ceil((right - left) / side_px)
    output = np.zeros((channels, side_px, side_px))
    for row in range(side_px):
        for column in range(side_px):
            total = np.zeros(channels)
            for i in range(grid_height):
                y = top + row * bin_height + (i + 0.5) * bin_height / grid_height
                for j in range(grid_width):
                    x = left + column * bin_width + (j + 0.5) * bin_width / grid_width
                    total += bilinear(image, y, x, height, width)
            output[:, row, column] = total / max(grid_height * grid_width, 1)
    return output


def bilinear(image: np.ndarray, y: float, x: float, height: int, width: int) -> np.ndarray:
    """Return one sample; nothing lies further than a pixel outside, and the border goes on up to there."""
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(len(image))
    y, x = max(y, 0.0), max(x, 0.0)
    y0, x0 = int(y), int(x)
    if y0 >= height - 1:
        y = y0 = y1 = height - 1
    else:
        y1 = y0 + 1
    if x0 >= width - 1:
        x = x0 = x1 = width - 1
    else:
        x1 = x0 + 1
    down, across = y - y0, x - x0
    return (
        (1 - down) * (1 - across) * image[:, y0, x0]
        + (1 - down) * across * image[:, y0, x1]
        + down * (1 - across) * image[:, y1, x0]
        + down * across * image[:, y1, x1]
    )
