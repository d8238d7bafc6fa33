"""Captioned crops of the seen classes of the shapes world; no unseen combination is in a crop or a caption.

A crop shows one thing, on seen stuff or cut out, or one stretch of stuff; its caption names the class or one of its
two words. Every word of an unseen name is learned this way, from seen classes.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from pading.randomness import derive_seed
from pading.shapes.classes import class_parts, class_pool, shapes_classes
from pading.shapes.layout import NOMINAL_PX, PERIOD_PX, RADIUS_PX, STUFF_PERIOD_PX, draw_light
from pading.shapes.painting import Light, Thing, lit, paint_stuff, paint_thing
from pading.shapes.surfaces import Surface, draw_stuff_surface, draw_thing_surface
from pading.text.embeddings import PROMPT_TEMPLATES

WHOLE_RATE = 0.5
CUT_RATE = 0.5
WHOLE_TEMPLATES = ("{}", "a photo of {}", *PROMPT_TEMPLATES)
MODIFIER_TEMPLATES = ("something {}", "a photo of something {}")
NOUN_TEMPLATES: dict[bool, tuple[str, ...]] = {True: ("a {}", "a photo of a {}"), False: ("{}", "a photo of {}")}


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """Square crops of `size_px`."""

    size_px: int = 48
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size_px < 16:
            raise ValueError(f"size_px is {self.size_px}: patterns are illegible in crops below 16 pixels")


@dataclass(frozen=True, kw_only=True)
class Crop:
    """A crop before painting: `thing` before `ground`, which ends at the line `cut` (angle, offset), before grey."""

    caption: str
    thing: Thing | None
    ground: Surface | None
    cut: tuple[float, float]
    backdrop: float
    light: Light


def caption_crop(config: CaptionConfig, index: int) -> tuple[UInt8[ndarray, "S S 3"], str]:
    """Return a crop of a seen class and its caption, a function of the configuration and the index alone."""
    random = np.random.default_rng(derive_seed(config.seed, "captions", index))
    crop = draw_crop(config, random)
    return _paint(config.size_px, crop, random), crop.caption


def draw_crop(config: CaptionConfig, random: np.random.Generator) -> Crop:
    """Draw one crop; only seen classes occur, in the foreground and behind it."""
    table = shapes_classes()
    class_index = table.seen[int(random.integers(len(table.seen)))]
    is_thing = table.is_thing[class_index]
    is_cut = random.random() < CUT_RATE
    size_px = config.size_px
    # The crop of an object fills its frame whatever its size in the scene, so its pattern is enlarged along with it.
    radius_px = 0.5 * size_px * random.uniform(0.6, 0.95)
    zoom = radius_px / random.uniform(*RADIUS_PX) if is_thing else size_px / (NOMINAL_PX * random.uniform(0.4, 1.0))
    thing, ground = None, None
    if is_thing:
        slack_px = 0.5 * size_px - 0.8 * radius_px
        x, y = (0.5 * size_px + random.uniform(-slack_px, slack_px) for _ in range(2))
        surface = draw_thing_surface(random, class_index, random.uniform(*PERIOD_PX) * zoom)
        thing = Thing(x=x, y=y, radius_px=radius_px, rotation=random.uniform(0, 2 * math.pi), surface=surface)
    if not (is_thing and is_cut):
        stuff = class_pool(is_thing=False, is_seen=True)
        ground_class = stuff[int(random.integers(len(stuff)))] if is_thing else class_index
        ground = draw_stuff_surface(random, ground_class, random.uniform(*STUFF_PERIOD_PX) * zoom)
    return Crop(
        caption=_draw_caption(random, class_index),
        thing=thing,
        ground=ground,
        cut=(random.uniform(0, 2 * math.pi), random.uniform(-0.3, 0.3) * size_px if is_cut else size_px),
        backdrop=random.uniform(0, 255),
        light=draw_light(random),
    )


def _draw_caption(random: np.random.Generator, class_index: int) -> str:
    modifier, noun = class_parts(class_index)
    if random.random() < WHOLE_RATE:
        return _fill(random, WHOLE_TEMPLATES, f"{modifier} {noun}")
    if random.random() < 0.5:
        return _fill(random, MODIFIER_TEMPLATES, modifier)
    return _fill(random, NOUN_TEMPLATES[shapes_classes().is_thing[class_index]], noun)


def _fill(random: np.random.Generator, templates: tuple[str, ...], words: str) -> str:
    return templates[int(random.integers(len(templates)))].format(words)


def _paint(size_px: int, crop: Crop, random: np.random.Generator) -> UInt8[ndarray, "S S 3"]:
    image = np.full((size_px, size_px, 3), crop.backdrop, dtype=np.float32)
    if crop.ground is not None:
        angle, offset_px = crop.cut
        middle = np.arange(size_px, dtype=np.float32) - np.float32(0.5 * size_px)
        along = middle[None, :] * np.float32(math.cos(angle)) + middle[:, None] * np.float32(math.sin(angle))
        paint_stuff(image, along < np.float32(offset_px), crop.ground)
    if crop.thing is not None:
        paint_thing(image, crop.thing)
    return lit(image, crop.light, random)
