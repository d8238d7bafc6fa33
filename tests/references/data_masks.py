"""Literal, slow versions of what happens to masks: one run, one character, one pixel at a time."""

import numpy as np


def mask_of_runs(counts, height, width):
    """Run lengths down the columns, the first of pixels outside the mask."""
    column_by_column = []
    inside = False
    for count in counts:
        column_by_column += [inside] * int(count)
        inside = not inside
    return np.array(column_by_column, dtype=bool).reshape(width, height).T


def runs_of_code(code):
    """COCO's compressed run lengths: characters from "0" hold 5 bits and "more follows"; differences from the third."""
    counts, at = [], 0
    while at < len(code):
        number, shift, more = 0, 0, True
        while more:
            bits = code[at] - 48
            number |= (bits & 31) << shift
            more = bool(bits & 32)
            at, shift = at + 1, shift + 5
        if bits & 16:
            number -= 1 << shift
        counts.append(number + counts[len(counts) - 2] if len(counts) > 2 else number)
    return counts


def first_fit(masks):
    """Which layer each mask goes into: the first where none of its pixels is taken; None for a mask without pixels."""
    taken, found = [], []
    for mask in masks:
        pixels = {tuple(place) for place in np.argwhere(mask)}
        if not pixels:
            found.append(None)
            continue
        layer = next((i for i, others in enumerate(taken) if not pixels & others), len(taken))
        if layer == len(taken):
            taken.append(set())
        taken[layer] |= pixels
        found.append(layer)
    return found
