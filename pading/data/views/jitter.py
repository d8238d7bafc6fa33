"""Which part of a photo a training image shows, how large, mirrored or turned, and in which colours.

Every random number comes from the generator that is passed in. A view is plain numbers that `batch.py` applies to the
photo and to its label maps, so the two can never disagree. Axes: S side of the square network input.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pading.data.views import colour
from pading.data.views.colour import UNCHANGED, ColourChange, draw_colour_change

JitterMode = Literal["letterbox", "large-scale", "shortest-edge"]


@dataclass(frozen=True, kw_only=True)
class JitterConfig:
    """How a training view is drawn.

    "letterbox" shows the whole photo, its longest side scaled to S. "large-scale" scales that once more by a factor
    drawn from [min_scale, max_scale]; "shortest-edge" scales the shortest side to a length drawn from `shortest_px`,
    unless the longest would exceed `longest_px`. What exceeds S x S after that is cropped at a random place.
    """

    mode: JitterMode = "letterbox"
    min_scale: float = 0.1  # PADing's panoptic and instance training
    max_scale: float = 2.0
    shortest_px: tuple[int, ...] = (320, 384, 448, 512, 576, 640, 704, 768, 832, 896, 960)  # ZegFormer and PADing's ZSS
    longest_px: int = 2560
    flip: bool = True  # mirror left to right with probability 1/2
    turns: bool = False  # quarter turns too, for worlds that have no up and down
    colour: bool = False  # on in ZSS

    def __post_init__(self) -> None:
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(f"scales from {self.min_scale} to {self.max_scale}: give 0 < min_scale <= max_scale")
        if not self.shortest_px or min(self.shortest_px) < 1 or self.longest_px < max(self.shortest_px):
            raise ValueError(
                f"shortest_px {self.shortest_px} with longest_px {self.longest_px}: give one or more sides of 1 px or "
                "more, none beyond longest_px"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A box of the photo, in its pixels, scaled to `content_height` x `content_width`, then mirrored, then turned.

    The result lies in the top left corner of the S x S canvas; the rest is padding.
    """

    top: int
    left: int
    height: int
    width: int
    content_height: int
    content_width: int
    is_mirrored: bool = False
    quarter_turns: int = 0  # counter-clockwise
    colour: ColourChange = UNCHANGED


def draw_view(config: JitterConfig, height: int, width: int, size_px: int, generator: np.random.Generator) -> View:
    """Draw a view of a photo of height x width pixels.

    A view always takes as many random numbers, so that one option does not change what another draws.
    """
    scale, top, left, mirror, turn, *colours = generator.random(5 + colour.NUM_DRAWS).tolist()
    rows, columns = _scaled_size(config, height, width, size_px, scale)
    first_row, num_rows, content_height = _crop(height, rows, size_px, top)
    first_column, num_columns, content_width = _crop(width, columns, size_px, left)
    return View(
        top=first_row,
        left=first_column,
        height=num_rows,
        width=num_columns,
        content_height=content_height,
        content_width=content_width,
        is_mirrored=config.flip and mirror < 0.5,
        quarter_turns=int(4 * turn) if config.turns else 0,
        colour=draw_colour_change(colours) if config.colour else UNCHANGED,
    )


def letterbox_view(height: int, width: int, size_px: int) -> View:
    """Return the view of a whole photo, its longest side scaled to S."""
    content_height, content_width = letterbox_size(height, width, size_px)
    return View(top=0, left=0, height=height, width=width, content_height=content_height, content_width=content_width)


def letterbox_size(height: int, width: int, size_px: int) -> tuple[int, int]:
    """Return the height and width of the content: the longest side is `size_px`, the other is rounded, at least 1."""
    longest = max(height, width)
    content_height, content_width = ((2 * side * size_px + longest) // (2 * longest) for side in (height, width))
    return max(content_height, 1), max(content_width, 1)


def _scaled_size(config: JitterConfig, height: int, width: int, size_px: int, draw: float) -> tuple[int, int]:
    """Return the size that the whole photo is scaled to, before a crop."""
    if config.mode == "letterbox":
        return letterbox_size(height, width, size_px)
    shortest, longest = sorted((height, width))
    if config.mode == "large-scale":
        scale = (config.min_scale + (config.max_scale - config.min_scale) * draw) * size_px / longest
    else:
        target = config.shortest_px[int(draw * len(config.shortest_px))]
        scale = min(target / shortest, config.longest_px / longest)
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _crop(side: int, scaled: int, size_px: int, draw: float) -> tuple[int, int, int]:
    """Return start and length of what is shown of a side, in photo pixels, and its length on the canvas."""
    if scaled <= size_px:
        return 0, side, scaled
    length = max(round(side * size_px / scaled), 1)
    return int(draw * (side - length + 1)), length, size_px
