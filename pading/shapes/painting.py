"""Painting one thing or one stretch of stuff into an image; H W pixels, colours are RGB floats from 0 to 255.

The image is float32 until it is lit, so that edges blend without rounding.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from pading.shapes.classes import class_parts
from pading.shapes.outlines import OUTLINES, REACH
from pading.shapes.surfaces import Colour, Surface
from pading.shapes.textures import PATTERN_MIXES, TEXTURE_MIXES


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One object: its outline's centre, size and rotation, and its surface."""

    x: float
    y: float
    radius_px: float
    rotation: float
    surface: Surface


@dataclass(frozen=True, kw_only=True)
class Light:
    """A brightness that changes linearly over the image, and the grain of the camera."""

    brightness: float
    slope: tuple[float, float]
    noise: float


def paint_stuff(image: Float32[ndarray, "H W 3"], region: Bool[ndarray, "H W"], surface: Surface) -> None:
    """Fill a region with a stuff class, in place."""
    rows, columns = np.nonzero(region)
    _, texture = class_parts(surface.class_index)
    u, v = _rotate(columns.astype(np.float32), rows.astype(np.float32), surface.angle, surface.phase_px)
    image[rows, columns] = _mix(TEXTURE_MIXES[texture](u, v, surface.period_px), surface.colours)


def paint_thing(image: Float32[ndarray, "H W 3"], thing: Thing) -> tuple[tuple[slice, slice], Bool[ndarray, "h w"]]:
    """Paint a thing over the image, in place; return the box it may touch and its mask inside that box."""
    box = _box(thing, image.shape[0], image.shape[1])
    x = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None, :] - np.float32(thing.x)
    y = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(thing.y)
    pattern, shape = class_parts(thing.surface.class_index)
    across, down = _rotate(x, y, thing.rotation, (0.0, 0.0))
    distance_px = OUTLINES[shape](across / np.float32(thing.radius_px), down / np.float32(thing.radius_px))
    distance_px *= np.float32(thing.radius_px)
    u, v = _rotate(x, y, thing.surface.angle, thing.surface.phase_px)
    colour = _mix(PATTERN_MIXES[pattern](u, v, thing.surface.period_px), thing.surface.colours)
    opacity = np.clip(np.float32(0.5) - distance_px, 0, 1)[:, :, None]
    patch = image[box]
    patch += opacity * (colour - patch)
    return box, distance_px < 0


def lit(image: Float32[ndarray, "H W 3"], light: Light, random: np.random.Generator) -> UInt8[ndarray, "H W 3"]:
    """Return the image as a camera would see it: brightness, gradient, noise, rounded to bytes."""
    height, width = image.shape[:2]
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    gain = np.float32(light.brightness) + np.float32(light.slope[0]) * across + np.float32(light.slope[1]) * down
    grain = random.standard_normal(image.shape, dtype=np.float32)
    grain *= np.float32(light.noise)
    grain += image * gain[:, :, None]
    pixels: UInt8[ndarray, "H W 3"] = np.clip(grain, 0, 255, out=grain).astype(np.uint8)
    return pixels


def _mix(amount: Float32[ndarray, "*pixels"], colours: tuple[Colour, Colour]) -> Float32[ndarray, "*pixels 3"]:
    first, second = (np.array(colour, dtype=np.float32) for colour in colours)
    mixed: Float32[ndarray, "*pixels 3"] = first + amount[..., None] * (second - first)
    return mixed


def _rotate(
    x: Float32[ndarray, "*pixels"], y: Float32[ndarray, "*pixels"], angle: float, shift: tuple[float, float]
) -> tuple[Float32[ndarray, "*pixels"], Float32[ndarray, "*pixels"]]:
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return x * cosine + (y * sine + np.float32(shift[0])), (y * cosine + np.float32(shift[1])) - x * sine


def _box(thing: Thing, height: int, width: int) -> tuple[slice, slice]:
    reach = thing.radius_px * REACH + 1
    top, left = max(0, math.floor(thing.y - reach)), max(0, math.floor(thing.x - reach))
    bottom, right = min(height, math.ceil(thing.y + reach) + 1), min(width, math.ceil(thing.x + reach) + 1)
    return slice(top, bottom), slice(left, right)
