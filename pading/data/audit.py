"""The proof that training shards hold nothing of an unseen class: every pixel of what was written, counted again."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pading.classes import ClassTable
from pading.data.shards import decode_row_labels

DIGEST_RANGE = 2**64
MAX_IDS_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class LeakAudit:
    """What some images hold; audits of different images add up, in any order.

    The digest is the sum of 64-bit digests of each image's id, segments and label map, so it does not depend on how
    the images are spread over files.
    """

    num_images: int
    num_pixels: int
    num_void_pixels: int
    num_unseen_pixels: int
    num_unseen_segments: int
    class_pixels: tuple[int, ...]  # crowds included
    leaking_image_ids: tuple[int, ...]
    digest: int

    @staticmethod
    def empty(classes: ClassTable) -> "LeakAudit":
        """Return the audit of no images."""
        return LeakAudit(
            num_images=0,
            num_pixels=0,
            num_void_pixels=0,
            num_unseen_pixels=0,
            num_unseen_segments=0,
            class_pixels=(0,) * classes.num_classes,
            leaking_image_ids=(),
            digest=0,
        )

    def __add__(self, other: "LeakAudit") -> "LeakAudit":
        return LeakAudit(
            num_images=self.num_images + other.num_images,
            num_pixels=self.num_pixels + other.num_pixels,
            num_void_pixels=self.num_void_pixels + other.num_void_pixels,
            num_unseen_pixels=self.num_unseen_pixels + other.num_unseen_pixels,
            num_unseen_segments=self.num_unseen_segments + other.num_unseen_segments,
            class_pixels=tuple(a + b for a, b in zip(self.class_pixels, other.class_pixels, strict=True)),
            leaking_image_ids=tuple(sorted(self.leaking_image_ids + other.leaking_image_ids)),
            digest=(self.digest + other.digest) % DIGEST_RANGE,
        )

    def check(self) -> None:
        """Accept the images for training.

        Raises:
            ValueError: if one has a pixel or a listed segment of an unseen class.
        """
        if not (self.leaking_image_ids or self.num_unseen_pixels or self.num_unseen_segments):
            return
        shown = ", ".join(map(str, self.leaking_image_ids[:MAX_IDS_SHOWN]))
        more = ", ..." if len(self.leaking_image_ids) > MAX_IDS_SHOWN else ""
        raise ValueError(
            f"{len(self.leaking_image_ids)} of {self.num_images} training images hold unseen classes "
            f"({self.num_unseen_pixels} pixels, {self.num_unseen_segments} segments): image ids {shown}{more}; "
            "write the shards again without them"
        )

    def to_json(self) -> str:
        """Return the audit as JSON text."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> "LeakAudit":
        """Read an audit that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        lists = {key: tuple(fields[key]) for key in ("class_pixels", "leaking_image_ids")}
        return LeakAudit(**fields | lists)


def audit_row(row: Mapping[str, Any], classes: ClassTable) -> LeakAudit:
    """Decode the label map of a shard row and count each of its pixels, crowds included.

    Raises:
        ValueError: if the label map is damaged, or a segment has a class outside of the table.
    """
    label_map = decode_row_labels(row)
    segments = [(int(segment["segment_id"]), int(segment["class_index"])) for segment in row["segments"]]
    of_label = np.array([class_index for _, class_index in segments], dtype=np.int64)
    outside = of_label[(of_label < 0) | (of_label >= classes.num_classes)]
    if outside.size:
        raise ValueError(
            f"image id {row['image_id']}: class {outside[0]} is not in class table {classes.name!r} "
            f"({classes.num_classes} classes); audit with the table that the shards were written with"
        )
    areas = np.bincount(label_map.ravel(), minlength=len(segments) + 1)
    class_pixels = np.bincount(of_label, weights=areas[1:], minlength=classes.num_classes).astype(np.int64)
    is_unseen = ~np.array(classes.is_seen)
    num_unseen_segments = int(is_unseen[of_label].sum())
    identity = json.dumps([int(row["image_id"]), label_map.shape, segments]).encode()
    digest = hashlib.sha256(identity + label_map.astype("<u2").tobytes()).digest()
    return LeakAudit(
        num_images=1,
        num_pixels=label_map.size,
        num_void_pixels=int(areas[0]),
        num_unseen_pixels=int(class_pixels[is_unseen].sum()),
        num_unseen_segments=num_unseen_segments,
        class_pixels=tuple(class_pixels.tolist()),
        leaking_image_ids=(int(row["image_id"]),) if num_unseen_segments else (),
        digest=int.from_bytes(digest[:8], "little"),
    )
