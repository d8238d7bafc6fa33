"""Literal, slow versions of what a view does to pixels, in float64, one target pixel or one colour at a time."""

import colorsys

import numpy as np


def triangle_weights(source, target):
    """(target, source) matrix: a triangle at each target centre, as wide as two pixels of the coarser side."""
    scale = source / target
    support = max(scale, 1.0)
    weights = np.zeros((target, source))
    for i in range(target):
        centre = (i + 0.5) * scale
        for j in range(source):
            weights[i, j] = max(0.0, 1 - abs(j + 0.5 - centre) / support)
        weights[i] /= weights[i].sum()
    return weights


def resampled(image, height, width):
    """(H, W, 3) pixels to (height, width, 3) floats."""
    rows, columns = triangle_weights(image.shape[0], height), triangle_weights(image.shape[1], width)
    return np.stack([rows @ image[..., channel].astype(np.float64) @ columns.T for channel in range(3)], axis=-1)


def turned(pixels, is_mirrored, quarter_turns):
    """Mirror left to right, then so many quarter turns counter-clockwise, pixel by pixel."""
    if is_mirrored:
        pixels = np.array([[row[len(row) - 1 - x] for x in range(len(row))] for row in pixels])
    for _ in range(quarter_turns):
        height, width = pixels.shape[:2]
        pixels = np.array([[pixels[y, width - 1 - x] for y in range(height)] for x in range(width)])
    return pixels


def nearest_of_box(labels, top, left, height, width, content_height, content_width):
    """The label under the centre of each target pixel of a box."""
    content = np.zeros((content_height, content_width), dtype=labels.dtype)
    for y in range(content_height):
        for x in range(content_width):
            row, column = top + (y + 0.5) * height / content_height, left + (x + 0.5) * width / content_width
            content[y, x] = labels[int(row), int(column)]
    return content


def recoloured(colour, brightness, contrast, saturation, hue_deg, is_contrast_last):
    """One RGB colour; clipped to 0..255 after each step, never rounded."""

    def clipped(values):
        return [min(max(value, 0.0), 255.0) for value in values]

    colour = clipped([value + brightness for value in colour])
    if not is_contrast_last:
        colour = clipped([value * contrast for value in colour])
    hue, strength, value = colorsys.rgb_to_hsv(*(level / 255 for level in colour))
    colour = colorsys.hsv_to_rgb((hue + hue_deg / 360) % 1.0, min(strength * saturation, 1.0), value)
    colour = [255 * level for level in colour]
    return clipped([value * contrast for value in colour]) if is_contrast_last else colour
