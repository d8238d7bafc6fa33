"""What stands where in a scene of the shapes world: every random choice except the grain of the camera.

Lengths are drawn in units of `image_px` / 96, so that a smaller world shows the same scenes at a lower resolution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pading.randomness import derive_seed
from pading.shapes.classes import class_pool, shapes_classes
from pading.shapes.painting import Light, Thing
from pading.shapes.surfaces import Surface, draw_stuff_surface, draw_thing_surface

NOMINAL_PX = 96
SPLITS = ("train", "val")
MAX_TRAIN = 1_000_000
EMPTY_RATE, CROWD_RATE, VOID_RATE = 0.04, 0.05, 0.1
# At the nominal size: radius of things (many of them are smaller), period of their patterns, period of textures.
RADIUS_PX, PERIOD_PX, STUFF_PERIOD_PX = (13.0, 28.0), (6.5, 9.0), (7.5, 10.0)


@dataclass(frozen=True, kw_only=True)
class ShapesConfig:
    """A shapes world: sides vary by `size_jitter` about `image_px`; `train_unseen_rate` is a share of train images."""

    image_px: int = 96
    size_jitter: float = 0.25
    max_things: int = 5
    num_train: int = 4000
    num_val: int = 500
    train_unseen_rate: float = 0.38
    seed: int = 0

    def __post_init__(self) -> None:
        if self.image_px < 32:
            raise ValueError(f"image_px is {self.image_px}: patterns are illegible below 32; 96 is the nominal size")
        if not 0 <= self.size_jitter < 0.5:
            raise ValueError(f"size_jitter is {self.size_jitter}: must lie in [0, 0.5)")
        if self.max_things < 1:
            raise ValueError(f"max_things is {self.max_things}: must be at least 1")
        if self.num_train < 1 or self.num_val < 1:
            raise ValueError(f"num_train is {self.num_train}, num_val is {self.num_val}: both must be at least 1")
        if self.num_train > MAX_TRAIN:
            raise ValueError(f"num_train is {self.num_train}: at most {MAX_TRAIN}, the image ids of val follow")
        if not 0 <= self.train_unseen_rate <= 1:
            raise ValueError(f"train_unseen_rate is {self.train_unseen_rate}: must lie in [0, 1]")

    def num_images(self, split: str) -> int:
        """Return the number of images of "train" or "val".

        Raises:
            ValueError: if there is no such split.
        """
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is none of {SPLITS}")
        return self.num_train if split == "train" else self.num_val


@dataclass(frozen=True, kw_only=True)
class Stuff:
    """A stretch of stuff: the pixels that are nearer to this site than to any other."""

    x: float
    y: float
    surface: Surface


@dataclass(frozen=True, kw_only=True)
class Patch:
    """An unlabelled patch: all pixels within `half_width_px` of a line of half length `half_length_px` about (x, y)."""

    x: float
    y: float
    angle: float
    half_length_px: float
    half_width_px: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A scene before painting: stuff with borders that bend by `bend_px`, a crowd, then `things` from back to front."""

    height: int
    width: int
    stuff: tuple[Stuff, ...]
    bend_px: float
    bend_phase: tuple[float, float]
    patch: Patch | None
    crowd: tuple[Thing, ...]
    things: tuple[Thing, ...]
    light: Light


def scene_generator(config: ShapesConfig, split: str, index: int) -> np.random.Generator:
    """Return the source of all randomness of one scene.

    Raises:
        ValueError: if the split has no such image.
    """
    if not 0 <= index < config.num_images(split):
        raise ValueError(f"index {index} is outside the {config.num_images(split)} images of split {split!r}")
    return np.random.default_rng(derive_seed(config.seed, "shapes", split, index))


def draw_layout(config: ShapesConfig, split: str, random: np.random.Generator) -> Layout:
    """Draw a scene; val shows all classes alike, train shows unseen ones in `train_unseen_rate` of the images only."""
    size = _draw_size(config, random)
    num_things = 0 if random.random() < EMPTY_RATE else int(random.integers(1, config.max_things + 1))
    num_crowds = int(num_things > 0 and random.random() < CROWD_RATE)
    num_stuff = int(random.integers(2, 4))
    needs_unseen = split == "train" and random.random() < config.train_unseen_rate
    thing_classes, stuff_classes = _draw_classes(
        random, num_things + num_crowds, num_stuff, None if split == "val" or needs_unseen else True, needs_unseen
    )
    crowds, things = thing_classes[:num_crowds], thing_classes[num_crowds:]
    return _arrange(config, random, size, stuff_classes, crowds, things)


def draw_layout_of(
    config: ShapesConfig, stuff_classes: Sequence[int], thing_classes: Sequence[int], random: np.random.Generator
) -> Layout:
    """Draw a scene of chosen stuff and things, each once, the things from back to front; things of no split too.

    Raises:
        ValueError: if there is no stuff to stand on.
    """
    if not stuff_classes:
        raise ValueError(f"a scene of {len(thing_classes)} things and no stuff: give at least one stuff class")
    return _arrange(config, random, _draw_size(config, random), stuff_classes, (), thing_classes)


def _draw_size(config: ShapesConfig, random: np.random.Generator) -> tuple[int, int]:
    height, width = (round(config.image_px * (1 + config.size_jitter * random.uniform(-1, 1))) for _ in range(2))
    return height, width


def _arrange(
    config: ShapesConfig,
    random: np.random.Generator,
    size: tuple[int, int],
    stuff_classes: Sequence[int],
    crowd_classes: Sequence[int],
    thing_classes: Sequence[int],
) -> Layout:
    """Draw where things of given classes lie, and how they look; at most one crowd."""
    height, width = size
    unit = config.image_px / NOMINAL_PX
    stuff = tuple(
        Stuff(x=x, y=y, surface=draw_stuff_surface(random, class_index, random.uniform(*STUFF_PERIOD_PX) * unit))
        for class_index, (x, y) in zip(
            stuff_classes, _spread(random, len(stuff_classes), height, width, 0.0), strict=True
        )
    )
    places = _spread(random, len(thing_classes), height, width, 0.12)
    largest = 30 - 2 * len(thing_classes)
    things = tuple(
        _draw_thing(
            random, class_index, x, y, random.uniform(13, max(largest, 16)) * unit, random.uniform(*PERIOD_PX) * unit
        )
        for class_index, (x, y) in zip(thing_classes, places, strict=True)
    )
    return Layout(
        height=height,
        width=width,
        stuff=stuff,
        bend_px=random.uniform(2, 7) * unit if random.random() < 0.6 else 0.0,
        bend_phase=(random.uniform(0, 2 * math.pi), random.uniform(0, 2 * math.pi)),
        patch=_draw_patch(random, height, width, unit) if random.random() < VOID_RATE else None,
        crowd=_draw_crowd(random, crowd_classes[0], height, width, unit) if crowd_classes else (),
        things=things,
        light=draw_light(random),
    )


def draw_light(random: np.random.Generator) -> Light:
    """Draw how a scene is lit."""
    slope = (random.uniform(-0.25, 0.25), random.uniform(-0.25, 0.25))
    return Light(brightness=random.uniform(0.8, 1.1), slope=slope, noise=random.uniform(2, 6))


def _draw_classes(
    random: np.random.Generator, num_things: int, num_stuff: int, is_seen: bool | None, needs_unseen: bool
) -> tuple[list[int], list[int]]:
    things = random.choice(class_pool(is_thing=True, is_seen=is_seen), num_things).tolist()
    stuff = random.choice(class_pool(is_thing=False, is_seen=is_seen), num_stuff, replace=False).tolist()
    if needs_unseen and all(shapes_classes().is_seen[index] for index in things + stuff):
        chosen = int(random.integers(num_things + num_stuff))
        row, position = (things, chosen) if chosen < num_things else (stuff, chosen - num_things)
        row[position] = int(random.choice(class_pool(is_thing=row is things, is_seen=False)))
    return things, stuff


def _spread(
    random: np.random.Generator, count: int, height: int, width: int, margin: float
) -> list[tuple[float, float]]:
    """Draw points that keep away from each other: each is the loneliest of three candidates."""
    points: list[tuple[float, float]] = []
    for _ in range(count):
        candidates = margin + (1 - 2 * margin) * random.random((3, 2))
        pairs = [(float(x) * width, float(y) * height) for x, y in candidates]
        points.append(max(pairs, key=lambda pair: min((math.dist(pair, point) for point in points), default=0.0)))
    return points


def _draw_thing(
    random: np.random.Generator, class_index: int, x: float, y: float, radius_px: float, period_px: float
) -> Thing:
    surface = draw_thing_surface(random, class_index, period_px)
    return Thing(x=x, y=y, radius_px=radius_px, rotation=random.uniform(0, 2 * math.pi), surface=surface)


def _draw_crowd(
    random: np.random.Generator, class_index: int, height: int, width: int, unit: float
) -> tuple[Thing, ...]:
    """Draw a tight cluster of small things of one class on a jittered hexagonal grid."""
    radius_px = random.uniform(6.5, 8.5) * unit
    centre_x, centre_y = random.uniform(0.25, 0.75) * width, random.uniform(0.25, 0.75) * height
    cells = [(row, column) for row in range(-1, 2) for column in range(-2, 2)]
    shifts = random.uniform(-0.25, 0.25, (len(cells), 2)) * radius_px
    return tuple(
        _draw_thing(
            random,
            class_index,
            centre_x + (column + 0.5 * (row % 2)) * 1.8 * radius_px + float(shift[0]),
            centre_y + row * 1.6 * radius_px + float(shift[1]),
            radius_px,
            5.5 * unit,
        )
        for (row, column), shift in zip(cells, shifts, strict=True)
    )


def _draw_patch(random: np.random.Generator, height: int, width: int, unit: float) -> Patch:
    is_band = random.random() < 0.5
    return Patch(
        x=random.uniform(0, width),
        y=random.uniform(0, height),
        angle=random.uniform(0, math.pi),
        half_length_px=float(height + width) if is_band else random.uniform(0, 10) * unit,
        half_width_px=random.uniform(1.5, 3.5) * unit if is_band else random.uniform(6, 12) * unit,
    )
