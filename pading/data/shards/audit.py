"""The proof that training shards hold nothing of an unseen class: every pixel of what was written, counted again.

Axes: L layers of overlapping segments, K classes.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pading.classes import ClassTable
from pading.data.errors import DataError
from pading.data.shards.label_maps import WRITE_AGAIN
from pading.data.shards.rows import decode_row_labels, row_name

DIGEST_RANGE = 2**64
MAX_IDS_SHOWN = 10
LABEL_COLUMNS = (
    "image_id",
    "file_name",
    "height",
    "width",
    "label_maps",
    "hidden_px",
    "segments",
)  # what a recount reads


@dataclass(frozen=True, kw_only=True)
class LeakTally:
    """What some images hold; tallies of different images add up, in any order.

    The digest is the sum of 64-bit digests of each image's id, segments and label maps, so it does not depend on how
    the images are spread over files.
    """

    num_images: int
    num_pixels: int
    num_unlabelled_pixels: int  # in no segment of any layer
    num_unseen_pixels: int
    num_unseen_segments: int
    num_hidden_pixels: int  # unseen ones that were made void before writing: the photo still shows them, no label does
    num_images_with_hidden: int
    class_segments: tuple[int, ...]  # crowds included, here and in the pixels
    class_pixels: tuple[int, ...]
    leaking_image_ids: tuple[int, ...]
    digest: int

    @staticmethod
    def empty(classes: ClassTable) -> "LeakTally":
        """Return the tally of no images."""
        return LeakTally(
            num_images=0,
            num_pixels=0,
            num_unlabelled_pixels=0,
            num_unseen_pixels=0,
            num_unseen_segments=0,
            num_hidden_pixels=0,
            num_images_with_hidden=0,
            class_segments=(0,) * classes.num_classes,
            class_pixels=(0,) * classes.num_classes,
            leaking_image_ids=(),
            digest=0,
        )

    def __add__(self, other: "LeakTally") -> "LeakTally":
        return LeakTally(
            num_images=self.num_images + other.num_images,
            num_pixels=self.num_pixels + other.num_pixels,
            num_unlabelled_pixels=self.num_unlabelled_pixels + other.num_unlabelled_pixels,
            num_unseen_pixels=self.num_unseen_pixels + other.num_unseen_pixels,
            num_unseen_segments=self.num_unseen_segments + other.num_unseen_segments,
            num_hidden_pixels=self.num_hidden_pixels + other.num_hidden_pixels,
            num_images_with_hidden=self.num_images_with_hidden + other.num_images_with_hidden,
            class_segments=_sums(self.class_segments, other.class_segments),
            class_pixels=_sums(self.class_pixels, other.class_pixels),
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

    def context_line(self) -> str:
        """Return in one line how much of the unseen classes the photos show without a label."""
        share = 100 * self.num_hidden_pixels / max(self.num_pixels, 1)
        share_of_images = 100 * self.num_images_with_hidden / max(self.num_images, 1)
        return (
            f"{self.num_hidden_pixels} of {self.num_pixels} pixels ({share:.2f}%) of unseen classes remain in the "
            "photos as unlabelled context, "
            f"in {self.num_images_with_hidden} of {self.num_images} images ({share_of_images:.1f}%)"
        )

    def to_plain(self) -> dict[str, Any]:
        """Return the tally as what JSON can hold."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_plain(fields: Mapping[str, Any]) -> "LeakTally":
        """Return the tally that `to_plain` described."""
        tuples = ("class_segments", "class_pixels", "leaking_image_ids")
        values: dict[str, Any] = {key: tuple(value) if key in tuples else value for key, value in fields.items()}
        return LeakTally(**values)


@dataclass(frozen=True, kw_only=True)
class LeakAudit:
    """The tally of training shards, and of exactly which: their split, its unseen classes, the bytes of their files."""

    schema_version: str
    split: str
    unseen: tuple[str, ...]
    files: Mapping[str, str]  # name -> sha256 of the bytes that were recounted
    index: str  # sha256 of the text of the index that the recount agreed with
    tally: LeakTally

    def to_json(self) -> str:
        """Return the audit as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str, file: str) -> "LeakAudit":
        """Read an audit that `to_json` wrote; `file` is the name to blame.

        Raises:
            ValueError: if the text is no audit.
        """
        try:
            fields = json.loads(text)
            files, tally = dict(fields.pop("files")), LeakTally.from_plain(fields.pop("tally"))
            return LeakAudit(files=files, tally=tally, unseen=tuple(fields.pop("unseen")), **fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(file, f"is not a leak audit ({error!r})", WRITE_AGAIN) from error


def audit_row(row: Mapping[str, Any], classes: ClassTable) -> LeakTally:
    """Decode the label maps of a shard row and count each pixel of each layer, crowds included.

    Raises:
        ValueError: if a label map is damaged, a segment has a class outside of the table, or more pixels are said to
            be hidden than are unlabelled.
    """
    label_maps = decode_row_labels(row)
    segments = [(int(segment["segment_id"]), int(segment["class_index"])) for segment in row["segments"]]
    of_label = np.array([class_index for _, class_index in segments], dtype=np.int64)
    outside = of_label[(of_label < 0) | (of_label >= classes.num_classes)]
    if outside.size:
        what = f"class {outside[0]} is not in class table {classes.name!r} ({classes.num_classes} classes)"
        raise DataError(row_name(row), what, "audit with the table that the shards were written with")
    areas = np.bincount(label_maps.ravel(), minlength=len(segments) + 1)
    num_unlabelled = int(areas[0]) if len(label_maps) == 1 else int((~label_maps.any(axis=0)).sum())
    hidden_px = int(row["hidden_px"])
    if not 0 <= hidden_px <= num_unlabelled:
        what = f"says that {hidden_px} pixels were hidden, but {num_unlabelled} are unlabelled"
        raise DataError(row_name(row), what, WRITE_AGAIN)
    class_pixels = np.bincount(of_label, weights=areas[1:], minlength=classes.num_classes).astype(np.int64)
    class_segments = np.bincount(of_label, minlength=classes.num_classes)
    is_unseen = ~np.array(classes.is_seen)
    num_unseen_segments = int(class_segments[is_unseen].sum())
    identity = json.dumps([int(row["image_id"]), label_maps.shape, segments]).encode()
    digest = hashlib.sha256(identity + label_maps.astype("<u2").tobytes()).digest()
    return LeakTally(
        num_images=1,
        num_pixels=label_maps[0].size,
        num_unlabelled_pixels=num_unlabelled,
        num_unseen_pixels=int(class_pixels[is_unseen].sum()),
        num_unseen_segments=num_unseen_segments,
        num_hidden_pixels=hidden_px,
        num_images_with_hidden=int(hidden_px > 0),
        class_segments=tuple(class_segments.tolist()),
        class_pixels=tuple(class_pixels.tolist()),
        leaking_image_ids=(int(row["image_id"]),) if num_unseen_segments else (),
        digest=int.from_bytes(digest[:8], "little"),
    )


def _sums(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))
