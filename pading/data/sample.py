"""One image with its segments, decoded: what every reader returns and every writer takes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8, UInt16


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One annotated region of an image: a thing, a stuff area, or a crowd of things."""

    segment_id: int
    class_index: int
    is_crowd: bool
    area_px: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One RGB image; its label map says 0 = void and i + 1 = `segments[i]`."""

    image_id: int
    file_name: str
    image: UInt8[np.ndarray, "H W 3"]
    label_map: UInt16[np.ndarray, "H W"]
    segments: tuple[Segment, ...]
