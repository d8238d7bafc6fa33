"""A picture of the shapes world for the eye: each class once, then scenes above their labels; red frames are unseen."""

import colorsys
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw

from pading.randomness import derive_seed
from pading.shapes.classes import shapes_classes
from pading.shapes.layout import ShapesConfig
from pading.shapes.painting import Light, Thing, lit, paint_stuff, paint_thing
from pading.shapes.scene import Scene, render_scene
from pading.shapes.surfaces import draw_stuff_surface, draw_thing_surface

SWATCH_PX, SWATCH_GAP_PX, CAPTION_PX = 96, 8, 14
SWATCHES_PER_ROW = 12
SCENE_ZOOM = 2
PAPER, INK, UNSEEN_FRAME = (255, 255, 255), (40, 40, 40), (225, 0, 30)


def contact_sheet(config: ShapesConfig, split: str, indices: Iterable[int], columns: int = 6) -> Image.Image:
    """Return one picture: a swatch of every class, then the scenes, enlarged, each with its coloured labels beneath."""
    scenes = [render_scene(config, split, index) for index in indices]
    cell_px = SCENE_ZOOM * round(config.image_px * (1 + config.size_jitter)) + SWATCH_GAP_PX
    rows = [scenes[start : start + columns] for start in range(0, len(scenes), columns)]
    swatches = [_swatch(config.seed, class_index) for class_index in range(shapes_classes().num_classes)]
    per_row = max(1, min(SWATCHES_PER_ROW, columns * cell_px // swatches[0].width))
    swatch_rows = -(-len(swatches) // per_row)
    heights = [2 * max(SCENE_ZOOM * scene.image.shape[0] + SWATCH_GAP_PX for scene in row) for row in rows]
    top = swatch_rows * swatches[0].height + SWATCH_GAP_PX
    sheet = Image.new("RGB", (columns * cell_px, top + sum(heights)), PAPER)
    for position, swatch in enumerate(swatches):
        sheet.paste(swatch, (position % per_row * swatch.width, position // per_row * swatch.height))
    for row, height in zip(rows, heights, strict=True):
        for column, scene in enumerate(row):
            sheet.paste(_enlarged(scene.image), (column * cell_px, top))
            sheet.paste(_label_picture(scene), (column * cell_px, top + height // 2))
        top += height
    return sheet


def _swatch(seed: int, class_index: int) -> Image.Image:
    """Return a class in its natural size over its name."""
    table = shapes_classes()
    random = np.random.default_rng(derive_seed(seed, "swatch", class_index))
    image = np.full((SWATCH_PX // 2, SWATCH_PX, 3), 150, dtype=np.float32)
    if table.is_thing[class_index]:
        surface = draw_thing_surface(random, class_index, 8.0)
        paint_thing(image, Thing(x=SWATCH_PX / 2, y=SWATCH_PX / 4, radius_px=20, rotation=0.0, surface=surface))
    else:
        everywhere = np.ones(image.shape[:2], dtype=np.bool_)
        paint_stuff(image, everywhere, draw_stuff_surface(random, class_index, 9.0))
    picture = Image.fromarray(lit(image, Light(brightness=1.0, slope=(0.0, 0.0), noise=0.0), random))
    swatch = Image.new("RGB", (SWATCH_PX + SWATCH_GAP_PX, SWATCH_PX // 2 + CAPTION_PX + SWATCH_GAP_PX), PAPER)
    swatch.paste(picture, (0, 0))
    pen = ImageDraw.Draw(swatch)
    frame = INK if table.is_seen[class_index] else UNSEEN_FRAME
    if not table.is_seen[class_index]:
        pen.rectangle((0, 0, SWATCH_PX - 1, SWATCH_PX // 2 - 1), outline=frame, width=2)
    pen.text((2, SWATCH_PX // 2 + 1), table.names[class_index], fill=frame)
    return swatch


def _label_picture(scene: Scene) -> Image.Image:
    """Return the segments, a colour per class, crowds striped, void black, borders white but red around unseen ones."""
    table = shapes_classes()
    enlarged = np.kron(scene.label_map, np.ones((SCENE_ZOOM, SCENE_ZOOM), dtype=np.uint8))
    colours = np.array([(0, 0, 0), *(_class_colour(segment.class_index) for segment in scene.segments)], dtype=np.uint8)
    is_crowd = np.array([False, *(segment.is_crowd for segment in scene.segments)])
    is_unseen = np.array([False, *(not table.is_seen[segment.class_index] for segment in scene.segments)])
    picture = colours[enlarged]
    row, column = np.indices(enlarged.shape)
    picture[is_crowd[enlarged] & ((row + column) % 8 < 3)] = INK
    inner = enlarged[1:-1, 1:-1]
    neighbours = (enlarged[:-2, 1:-1], enlarged[2:, 1:-1], enlarged[1:-1, :-2], enlarged[1:-1, 2:])
    is_border = np.pad(np.any([neighbour != inner for neighbour in neighbours], axis=0), 1)
    picture[is_border] = PAPER
    picture[is_border & is_unseen[enlarged]] = UNSEEN_FRAME
    return Image.fromarray(picture)


def _class_colour(class_index: int) -> tuple[int, int, int]:
    """Return a pale colour that differs from those of the neighbouring classes."""
    red, green, blue = colorsys.hsv_to_rgb(class_index * 0.618 % 1, 0.3 + 0.1 * (class_index % 3), 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def _enlarged(image: UInt8[ndarray, "H W 3"]) -> Image.Image:
    return Image.fromarray(image.repeat(SCENE_ZOOM, axis=0).repeat(SCENE_ZOOM, axis=1))
