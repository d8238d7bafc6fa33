"""What things and stuff are covered with: the colour of a thing tells nothing, that of stuff is half its name."""

import colorsys
import math
from dataclasses import dataclass

import numpy as np

from pading.shapes.classes import class_parts

Colour = tuple[float, float, float]  # RGB, 0 to 255
HUES = {"red": 0.0, "green": 1 / 3, "blue": 0.61}


@dataclass(frozen=True, kw_only=True)
class Surface:
    """How a pattern or texture lies: turned by `angle`, shifted by `phase_px`, mixed from two RGB colours."""

    class_index: int
    angle: float
    period_px: float
    phase_px: tuple[float, float]
    colours: tuple[Colour, Colour]


def draw_thing_surface(random: np.random.Generator, class_index: int, period_px: float) -> Surface:
    """Draw the surface of a thing: any two hues, one pale and one dark, either of them first."""
    pale = _colour(random.random(), random.uniform(0.0, 0.6), random.uniform(0.85, 1.0))
    dark = _colour(random.random(), random.uniform(0.3, 1.0), random.uniform(0.05, 0.4))
    colours = (pale, dark) if random.random() < 0.5 else (dark, pale)
    return _lay(random, class_index, period_px, colours)


def draw_stuff_surface(random: np.random.Generator, class_index: int, period_px: float) -> Surface:
    """Draw the surface of stuff: a dark and a lighter shade of its colour family."""
    hue = HUES[class_parts(class_index)[0]] + random.uniform(-0.05, 0.05)
    saturation, value = random.uniform(0.4, 0.75), random.uniform(0.3, 0.5)
    dark = _colour(hue, saturation, value)
    light = _colour(hue, saturation * 0.8, value + random.uniform(0.2, 0.35))
    return _lay(random, class_index, period_px, (dark, light))


def _lay(random: np.random.Generator, class_index: int, period_px: float, colours: tuple[Colour, Colour]) -> Surface:
    return Surface(
        class_index=class_index,
        angle=random.uniform(0, 2 * math.pi),
        period_px=period_px,
        phase_px=(random.uniform(0, 64), random.uniform(0, 64)),
        colours=colours,
    )


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return 255 * red, 255 * green, 255 * blue
