"""Rendering one scene of the shapes world, with its panoptic labels; H W pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from numpy import ndarray

from pading.data.sample import Segment
from pading.randomness import derive_seed
from pading.shapes.classes import class_pool, world_names
from pading.shapes.layout import Layout, Patch, ShapesConfig, draw_layout, draw_layout_of, scene_generator
from pading.shapes.painting import lit, paint_stuff, paint_thing

MIN_VISIBLE_PX = 30
LARGEST_SEGMENT_ID = 256**3 - 1


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One image with its ground truth; `label_map` is 0 where nothing is labelled, i + 1 on `segments[i]`."""

    image: UInt8[ndarray, "H W 3"]
    label_map: UInt8[ndarray, "H W"]
    segments: tuple[Segment, ...]

    @property
    def id_map(self) -> Int32[ndarray, "H W"]:
        """The segment id of each pixel, 0 where nothing is labelled."""
        ids = np.array([0, *(segment.segment_id for segment in self.segments)], dtype=np.int32)
        return np.take(ids, self.label_map)


def render_scene(config: ShapesConfig, split: str, index: int) -> Scene:
    """Return one scene, a function of the configuration, the split and the index alone.

    Things hide what is behind them; a segment with fewer than `MIN_VISIBLE_PX` visible pixels becomes void.

    Raises:
        ValueError: if the split has no such image.
    """
    random = scene_generator(config, split, index)
    return _render(draw_layout(config, split, random), random)


def render_scene_of(config: ShapesConfig, classes: Sequence[int], *position: int | str) -> Scene:
    """Return a scene of chosen classes, things of no split among them; a function of the arguments alone.

    Things stand from back to front in the order given. Where no stuff is among the classes, two seen ones are drawn.

    Raises:
        ValueError: if a number is no class.
    """
    if not all(0 <= index < len(world_names()) for index in classes):
        raise ValueError(f"classes {list(classes)}: the shapes world has 0 to {len(world_names()) - 1}")
    random = np.random.default_rng(derive_seed(config.seed, "chosen classes", *position))
    stuff = [index for index in classes if index in class_pool(is_thing=False)]
    things = [index for index in classes if index not in stuff]
    stuff = stuff or random.choice(class_pool(is_thing=False, is_seen=True), 2, replace=False).tolist()
    return _render(draw_layout_of(config, stuff, things, random), random)


def _render(layout: Layout, random: np.random.Generator) -> Scene:
    image = np.empty((layout.height, layout.width, 3), dtype=np.float32)
    painted = _paint_ground(image, layout)
    groups = [layout.crowd] * bool(layout.crowd) + [(thing,) for thing in layout.things]
    for label, things in enumerate(groups, start=len(layout.stuff) + 1):
        for thing in things:
            box, mask = paint_thing(image, thing)
            painted[box][mask] = label
    classes = [site.surface.class_index for site in layout.stuff]
    classes += [things[0].surface.class_index for things in groups]
    crowd_label = len(layout.stuff) + 1 if layout.crowd else 0
    areas_px = np.bincount(painted.ravel(), minlength=len(classes) + 1)
    visible = [label for label in range(1, len(classes) + 1) if areas_px[label] >= MIN_VISIBLE_PX]
    segment_ids = 1 + random.choice(LARGEST_SEGMENT_ID, len(visible), replace=False)
    segments = tuple(
        Segment(
            segment_id=segment_id,
            class_index=classes[label - 1],
            is_crowd=label == crowd_label,
            area_px=int(areas_px[label]),
        )
        for label, segment_id in zip(visible, segment_ids.tolist(), strict=True)
    )
    positions = np.zeros(len(classes) + 1, dtype=np.uint8)
    positions[visible] = np.arange(1, len(visible) + 1)
    return Scene(image=lit(image, layout.light, random), label_map=positions[painted], segments=segments)


def _paint_ground(image: Float32[ndarray, "H W 3"], layout: Layout) -> UInt8[ndarray, "H W"]:
    """Paint stuff and patch; return the label of each pixel: 0 on the patch, i + 1 on `layout.stuff[i]`."""
    x = np.arange(layout.width, dtype=np.float32)[None, :]
    y = np.arange(layout.height, dtype=np.float32)[:, None]
    wavelength_px = 0.6 * max(layout.height, layout.width)
    frequency = np.float32(2 * math.pi / wavelength_px)
    bend, (phase_x, phase_y) = np.float32(layout.bend_px), layout.bend_phase
    bent_x = x + bend * np.sin(y * frequency + np.float32(phase_x))
    bent_y = y + bend * np.sin(x * frequency + np.float32(phase_y))
    distances = [(bent_x - np.float32(site.x)) ** 2 + (bent_y - np.float32(site.y)) ** 2 for site in layout.stuff]
    nearest = np.argmin(np.stack(distances), axis=0)
    labels: UInt8[ndarray, "H W"] = (nearest + 1).astype(np.uint8)
    for position, site in enumerate(layout.stuff):
        paint_stuff(image, nearest == position, site.surface)
    if layout.patch is not None:
        covered = _patch_distance(x, y, layout.patch) < 0
        image[covered] = 128.0
        labels[covered] = 0
    return labels


def _patch_distance(x: Float32[ndarray, "1 W"], y: Float32[ndarray, "H 1"], patch: Patch) -> Float32[ndarray, "H W"]:
    cosine, sine = np.float32(math.cos(patch.angle)), np.float32(math.sin(patch.angle))
    x, y = x - np.float32(patch.x), y - np.float32(patch.y)
    beyond = np.maximum(np.abs(x * cosine + y * sine) - np.float32(patch.half_length_px), 0)
    distance_px: Float32[ndarray, "H W"] = np.hypot(beyond, y * cosine - x * sine) - np.float32(patch.half_width_px)
    return distance_px
