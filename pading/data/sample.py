"""One image with its segments, decoded: what every reader returns and every writer takes.

Axes: L layers of overlapping segments, H W pixels.
"""

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
    """One RGB image; its label maps say 0 = unlabelled and i + 1 = `segments[i]`.

    Segments that overlap, as instances may, lie in different layers; each lies in exactly one. Panoptic and semantic
    truth has one layer. Unlabelled is void there, and background in an instance sample.
    """

    image_id: int
    file_name: str
    image: UInt8[np.ndarray, "H W 3"]
    label_maps: UInt16[np.ndarray, "L H W"]
    segments: tuple[Segment, ...]

    @property
    def label_map(self) -> UInt16[np.ndarray, "H W"]:
        """The only layer.

        Raises:
            ValueError: if there are several, so that no single map holds the truth.
        """
        return only_layer(self.label_maps, self.image_id)


def only_layer(label_maps: UInt16[np.ndarray, "L H W"], image_id: int) -> UInt16[np.ndarray, "H W"]:
    """Return the one layer of label maps.

    Raises:
        ValueError: if there are several.
    """
    if len(label_maps) != 1:
        raise ValueError(f"image {image_id} has {len(label_maps)} layers of overlapping segments; read `label_maps`")
    layer: np.ndarray = label_maps[0]
    return layer


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
