"""Random changes of a photo's colours, as single-shot detectors are trained with (SSD, Sec. 2.2).

Brightness, contrast, saturation and hue are each changed with probability 1/2; a coin says whether contrast comes
before or after the last two. Every step rounds to 8 bits. Axes: h w pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

CHANCE = 0.5
BRIGHTNESS = 32.0  # levels, added or subtracted
FACTORS = (0.5, 1.5)  # of contrast and saturation
HUE_DEG = 36.0
NUM_DRAWS = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class ColourChange:
    """A change of colours; the default changes nothing."""

    brightness: float = 0.0  # levels of 255
    contrast: float = 1.0
    saturation: float = 1.0
    hue_deg: float = 0.0
    is_contrast_last: bool = False


UNCHANGED = ColourChange()


def draw_colour_change(draws: Sequence[float]) -> ColourChange:
    """Turn nine numbers in [0, 1) into a change of colours."""
    is_changed = [draw < CHANCE for draw in draws[:4]]
    low, high = FACTORS
    return ColourChange(
        brightness=BRIGHTNESS * (2 * draws[4] - 1) if is_changed[0] else 0.0,
        contrast=low + (high - low) * draws[5] if is_changed[1] else 1.0,
        saturation=low + (high - low) * draws[6] if is_changed[2] else 1.0,
        hue_deg=HUE_DEG * (2 * draws[7] - 1) if is_changed[3] else 0.0,
        is_contrast_last=draws[8] < CHANCE,
    )


def recolour(image: UInt8[np.ndarray, "h w 3"], change: ColourChange) -> UInt8[np.ndarray, "h w 3"]:
    """Return an RGB image with its colours changed.

    v + brightness, v * contrast, then in hue-saturation-value S * saturation and H + hue; each step a table of 256.
    """
    if change == UNCHANGED:
        return image
    levels = np.arange(256)
    contrast = _to_bytes(levels * change.contrast)
    table = _to_bytes(levels + change.brightness)
    if not change.is_contrast_last:
        table = contrast[table]
    image = cv2.LUT(image, table)
    if change.saturation != 1 or change.hue_deg != 0:
        hue_steps = round(change.hue_deg * 256 / 360)  # a full turn is 256 steps
        hue_saturation_value = np.stack([(levels + hue_steps) % 256, levels * change.saturation, levels], axis=-1)
        coded = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL), _to_bytes(hue_saturation_value[None]))
        image = cv2.cvtColor(coded, cv2.COLOR_HSV2RGB_FULL)
    return cv2.LUT(image, contrast) if change.is_contrast_last else image


def _to_bytes(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(values).clip(0, 255).astype(np.uint8)
    return rounded
