"""Qualitative pictures: one row per image, the photo, the truth, then the map of each method.

Every class has one colour in all pictures. Unseen classes are what the project is about, so their segments are
outlined in white over black, and their labels carry a star.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from pading.classes import ClassTable
from pading.evaluate.inference import PanopticMap

BACKGROUND = (255, 255, 255)
INK = (32, 36, 44)
MUTED = (120, 126, 138)
VOID_LUMINANCE = 0.35  # void pixels show the photo, grey and dark
COLOUR_OPACITY = 0.62
MARGIN_PX, HEADER_PX, LEGEND_PX = 14, 34, 30
FONT_PX = 12  # of the names on a map
HEADINGS = ("photo", "ground truth")  # of the columns before the methods
SMALLEST_LABELLED_SHARE = 0.006  # of the picture; the label of a smaller segment would hide it


@dataclass(frozen=True, kw_only=True, eq=False)
class PanelRow:
    """One image of a panel: the photo, its truth, and the map of each method in the order of the headings."""

    photo: UInt8[np.ndarray, "H W 3"]
    ground_truth: PanopticMap
    predictions: tuple[PanopticMap, ...]


def draw_panel(
    rows: Sequence[PanelRow], methods: Sequence[str], classes: ClassTable, cell_width_px: int = 280
) -> Image.Image:
    """Return the picture: headings on top, one row per image, a line on how to read it at the bottom.

    Raises:
        ValueError: if there is no row, or a row has another number of predictions than there are methods.
    """
    require_complete(rows, methods)
    headings = [*HEADINGS, *methods]
    heights = [round(cell_width_px * row.photo.shape[0] / row.photo.shape[1]) for row in rows]
    width = MARGIN_PX + len(headings) * (cell_width_px + MARGIN_PX)
    canvas = Image.new("RGB", (width, HEADER_PX + sum(heights) + MARGIN_PX * len(rows) + LEGEND_PX), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    lefts = [MARGIN_PX + column * (cell_width_px + MARGIN_PX) for column in range(len(headings))]
    for heading, left in zip(headings, lefts, strict=True):
        font = ImageFont.load_default(15)
        draw.text((left + cell_width_px / 2, HEADER_PX / 2 + 2), heading, fill=INK, font=font, anchor="mm")

    top = HEADER_PX
    for row, height in zip(rows, heights, strict=True):
        for cell, left in zip(draw_cells(row, classes, cell_width_px), lefts, strict=True):
            canvas.paste(cell, (left, top))
        top += height + MARGIN_PX
    note = "* and a white outline: class unseen in training.   Dark grey: void."
    draw.text(
        (MARGIN_PX, top + LEGEND_PX / 2 - MARGIN_PX / 2), note, fill=MUTED, font=ImageFont.load_default(13), anchor="lm"
    )
    return canvas


def require_complete(rows: Sequence[PanelRow], methods: Sequence[str]) -> None:
    """Refuse rows that cannot be drawn.

    Raises:
        ValueError: if there is no row, or a row has another number of predictions than there are methods.
    """
    if not rows:
        raise ValueError("a panel needs at least one image")
    for number, row in enumerate(rows):
        if len(row.predictions) != len(methods):
            raise ValueError(f"row {number} has {len(row.predictions)} predictions for {len(methods)} methods")


def draw_cells(row: PanelRow, classes: ClassTable, width_px: int, font_px: int = FONT_PX) -> list[Image.Image]:
    """Return the photo at a width, then the truth and each method's map upon it."""
    size = (width_px, round(width_px * row.photo.shape[0] / row.photo.shape[1]))
    photo = Image.fromarray(row.photo).resize(size, Image.Resampling.LANCZOS)
    return [photo, *(draw_map(photo, part, classes, font_px) for part in (row.ground_truth, *row.predictions))]


def draw_map(photo: Image.Image, partition: PanopticMap, classes: ClassTable, font_px: int = FONT_PX) -> Image.Image:
    """Return the photo under the colours, outlines and names of a panoptic map, at the size of the photo given."""
    label_image = Image.fromarray(partition.label_map.astype(np.int32)).resize(photo.size, Image.Resampling.NEAREST)
    label_map = np.asarray(label_image)
    is_unseen = np.array([False, *(not classes.is_seen[index] for index in partition.classes)])
    colours = np.array([(0, 0, 0), *(class_colour(int(index)) for index in partition.classes)], dtype=np.float64)

    luminance = np.asarray(photo.convert("L"), dtype=np.float64)[..., None]
    shade = (0.35 + 0.65 * luminance / 255) * COLOUR_OPACITY + (1 - COLOUR_OPACITY)
    pixels = np.where(label_map[..., None] > 0, colours[label_map] * shade, luminance * VOID_LUMINANCE)
    border = _border(label_map)
    pixels[border] = pixels[border] * 0.45
    unseen = is_unseen[label_map]
    ring = unseen & _thick(border | _border(unseen))
    pixels[ring] = 255
    pixels[_thick(ring) & ~unseen] = 0
    cell = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    _write_names(cell, label_map, partition, classes, font_px)
    return cell


def class_colour(index: int) -> tuple[int, int, int]:
    """Return the colour of a class: hues by the golden ratio, so that neighbours in the table differ."""
    hue = (index * 0.61803398875 + 0.07) % 1.0
    saturation, value = ((0.62, 0.95), (0.75, 0.78), (0.45, 0.90))[index % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _write_names(
    cell: Image.Image, label_map: np.ndarray, partition: PanopticMap, classes: ClassTable, font_px: int
) -> None:
    """Write each large enough segment's name at its middle, the largest first, skipping names that would collide."""
    draw = ImageDraw.Draw(cell)
    font = ImageFont.load_default(font_px)
    areas = np.bincount(label_map.ravel(), minlength=len(partition.classes) + 1)
    taken: list[tuple[float, float, float, float]] = []
    for label in np.argsort(-areas[1:], kind="stable") + 1:
        if areas[label] < SMALLEST_LABELLED_SHARE * label_map.size:
            break
        index = int(partition.classes[label - 1])
        text = classes.names[index] if classes.is_seen[index] else f"{classes.names[index]} *"
        x, y = _middle(label_map == label)
        half_width, half_height = draw.textlength(text, font=font) / 2 + 3, 2 * font_px / 3
        x = min(max(x, half_width), cell.width - half_width)
        y = min(max(y, half_height), cell.height - half_height)
        box = (x - half_width, y - half_height, x + half_width, y + half_height)
        if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            continue
        taken.append(box)
        draw.rounded_rectangle(box, radius=4, fill=(20, 22, 28))
        draw.text((x, y), text, fill=(255, 255, 255), font=font, anchor="mm")


def _middle(mask: Bool[np.ndarray, "H W"]) -> tuple[float, float]:
    """Return (x, y) of the pixel of the mask that is farthest from its outside."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(np.argmax(depth), mask.shape)
    return float(column), float(row)


def _border(labels: np.ndarray) -> Bool[np.ndarray, "H W"]:
    """Return the pixels whose right or lower neighbour has another label."""
    border = np.zeros(labels.shape, dtype=bool)
    border[:-1] |= labels[:-1] != labels[1:]
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return border


def _thick(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Return the mask grown by one pixel to every side."""
    padded = np.pad(mask, 1)
    grown: Bool[np.ndarray, "H W"] = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return grown
