"""One image with its segments, decoded: what every reader returns and every writer takes."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

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


def segments_to_plain(segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """Return segments as the list of structs that parquet rows hold."""
    return [dataclasses.asdict(segment) for segment in segments]


def segments_from_plain(plain: Iterable[Mapping[str, Any]]) -> tuple[Segment, ...]:
    """Return the segments that `segments_to_plain` described."""
    return tuple(
        Segment(
            segment_id=int(fields["segment_id"]),
            class_index=int(fields["class_index"]),
            is_crowd=bool(fields["is_crowd"]),
            area_px=int(fields["area_px"]),
        )
        for fields in plain
    )
