"""A photo under its panoptic map, with names and a legend: legible at any size of the photo.

Every class has one colour in all pictures and frames. Unseen classes are outlined and starred.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pading.classes import ClassTable
from pading.evaluate.inference import PanopticMap
from pading.evaluate.panels import BACKGROUND, INK, class_colour, draw_map

SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 480, 1600  # of the longer side: names stay legible, and memory bounded
LINE_PX, SWATCH_PX, GAP_PX, FONT_PX = 22, 12, 6, 13
NOTE = "* unseen in training"


def draw_overlay(
    photo: Image.Image, partition: PanopticMap, classes: ClassTable, legend_lines: int | None = None
) -> Image.Image:
    """Return the photo under its map, and below it the legend; frames of a video have one of a fixed number of lines.

    Small photos are enlarged and large ones reduced, sides made even as video codecs want them.
    """
    width, height = overlay_size(photo.width, photo.height)
    picture = draw_map(photo.resize((width, height), Image.Resampling.LANCZOS), partition, classes)
    lines = _legend(partition, classes, width, legend_lines)
    num_lines = len(lines) if legend_lines is None else legend_lines
    canvas = Image.new("RGB", (width, height + num_lines * LINE_PX), BACKGROUND)
    canvas.paste(picture, (0, 0))
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        _draw_line(draw, line, height + number * LINE_PX, classes)
    return canvas


def overlay_size(width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of the picture above the legend, both even."""
    longest = max(width, height)
    scale = min(max(longest, SMALLEST_SIDE_PX), LARGEST_SIDE_PX) / longest
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def _legend(
    partition: PanopticMap, classes: ClassTable, width: int, num_lines: int | None
) -> list[list[tuple[int, int, str]]]:
    """Return (left, class or -1, text) of each entry by line, classes in the order of their table.

    What does not fit the number of lines is counted at the end.
    """
    present = sorted(set(partition.classes.tolist()))
    texts = [(index, _name(index, classes)) for index in present]
    if any(not classes.is_seen[index] for index in present):
        texts.append((-1, NOTE))
    for kept in range(len(texts), -1, -1):
        more = [(-1, f"+{len(texts) - kept} more")] if kept < len(texts) else []
        lines = _wrapped(texts[:kept] + more, width)
        if num_lines is None or len(lines) <= num_lines:
            return lines
    return []


def _name(index: int, classes: ClassTable) -> str:
    return classes.names[index] + ("" if classes.is_seen[index] else " *")


def _wrapped(texts: Sequence[tuple[int, str]], width: int) -> list[list[tuple[int, int, str]]]:
    font = ImageFont.load_default(FONT_PX)
    lines: list[list[tuple[int, int, str]]] = []
    left = width
    for index, text in texts:
        taken = int(np.ceil(font.getlength(text))) + 2 * GAP_PX + (SWATCH_PX + GAP_PX if index >= 0 else 0)
        if not lines or left + taken > width:
            lines.append([])
            left = GAP_PX
        lines[-1].append((left, index, text))
        left += taken
    return lines


def _draw_line(draw: ImageDraw.ImageDraw, line: Sequence[tuple[int, int, str]], top: int, classes: ClassTable) -> None:
    font = ImageFont.load_default(FONT_PX)
    middle = top + LINE_PX // 2
    for left, index, text in line:
        if index >= 0:
            box = (left, middle - SWATCH_PX // 2, left + SWATCH_PX, middle + SWATCH_PX // 2)
            outline = class_colour(index) if classes.is_seen[index] else (0, 0, 0)
            draw.rectangle(box, fill=class_colour(index), outline=outline, width=2)
            left += SWATCH_PX + GAP_PX
        draw.text((left, middle), text, fill=INK, font=font, anchor="lm")
