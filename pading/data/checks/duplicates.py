"""Photos that lie in both parts of a split: an image that was trained on is no test image."""

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pading.data.checks.findings import Finding
from pading.data.threads import map_in_threads

TAIL_BYTES = 64  # a JPEG ends with entropy-coded data: nearly as telling as a hash of it all
MAX_NAMED = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Photo:
    """An image of one part, by all that names it."""

    image_id: int
    file_name: str
    path: Path


def shared_findings(train: Sequence[Photo], val: Sequence[Photo]) -> list[Finding]:
    """Return an error for each photo of `val` that `train` holds too, and warnings for ids and names in both.

    Equal means equal bytes; a photo that was saved again is not found. Every file is looked up once, files whose size
    occurs in both parts are opened for their last bytes, and only those still alike are read whole.
    """
    train_digests, val_digests = _alike(train, val)
    first = {digest: photo for photo, digest in reversed(train_digests.items())}
    findings = []
    for photo, digest in val_digests.items():
        what = f"is the same photo as {first[digest].path}, which is trained on"
        remedy = "remove it from one of the two: test images must be new"
        findings.append(Finding(severity="error", file=str(photo.path), what=what, remedy=remedy))
    return findings or _of_both(train, val)  # shared names would only follow from shared photos


def _alike(train: Iterable[Photo], val: Iterable[Photo]) -> tuple[dict[Photo, Hashable], dict[Photo, Hashable]]:
    """Return the photos of each part that the other holds too, with the digest of their content."""
    in_train: dict[Photo, Hashable] = dict.fromkeys(train)
    in_val: dict[Photo, Hashable] = dict.fromkeys(val)
    for trait in (_size, _tail, _digest):
        in_train, in_val = _traits(in_train, trait), _traits(in_val, trait)
        shared = set(in_train.values()) & set(in_val.values()) - {None}
        in_train = {photo: key for photo, key in in_train.items() if key in shared}
        in_val = {photo: key for photo, key in in_val.items() if key in shared}
    return in_train, in_val


def _traits(photos: Iterable[Photo], trait: Callable[[Path], Hashable]) -> dict[Photo, Hashable]:
    ordered = list(photos)
    return dict(zip(ordered, map_in_threads(trait, [photo.path for photo in ordered]), strict=True))


def _size(path: Path) -> Hashable:
    try:
        return path.stat().st_size
    except OSError:  # not there, which is a finding of another check
        return None


def _tail(path: Path) -> Hashable:
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(size - TAIL_BYTES, 0))
            return size, stream.read()
    except OSError:
        return None


def _digest(path: Path) -> Hashable:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return None


def _of_both(train: Sequence[Photo], val: Sequence[Photo]) -> list[Finding]:
    findings = []
    for name, in_train, in_val in (
        ("image ids", {photo.image_id for photo in train}, {photo.image_id for photo in val}),
        ("file names", {photo.file_name for photo in train}, {photo.file_name for photo in val}),
    ):
        if shared := sorted(map(str, in_train & in_val)):
            named = ", ".join(shared[:MAX_NAMED]) + (", ..." if len(shared) > MAX_NAMED else "")
            what = f"{len(shared)} {name} are those of training images too ({named})"
            remedy = "fine if the two parts are numbered apart: their photos differ"
            findings.append(Finding(severity="warning", file=str(val[0].path.parent), what=what, remedy=remedy))
    return findings
