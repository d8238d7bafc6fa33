"""The work of writing shards, cut into shares: the images of one file each, and what is known once it is written.

A share is a function of its records alone, so whoever writes it, and however often, writes the same bytes.
Axis: K classes.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pading.data.coco.record import ImageRecord
from pading.data.coco.source import load
from pading.data.errors import DataError, MissingFileError
from pading.data.sample import Sample
from pading.data.shards.index import ShardFile, ShardIndex, content_name, shard_file_from_plain
from pading.data.shards.rows import SCHEMA_VERSION, encode_row, write_shard
from pading.data.threads import map_in_threads
from pading.splits.split import Part, Split

UNFINISHED = "unfinished.parquet"


@dataclass(frozen=True, kw_only=True)
class Share:
    """The images of one shard file, by records; `digest` also covers the photos' sizes and times of change."""

    number: int
    records: tuple[ImageRecord, ...]
    digest: str


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """An image that could not be used, and why; what is wrong with an annotation file has no image id."""

    image_id: int | None
    file: str
    what: str
    remedy: str

    @staticmethod
    def of(error: DataError | MissingFileError, image_id: int | None = None) -> "Quarantined":
        """Return the entry of an image that raised an error."""
        return Quarantined(image_id=image_id, file=error.file, what=error.what, remedy=error.remedy)


@dataclass(frozen=True, kw_only=True)
class WrittenShare:
    """What a finished share leaves: its file (none if all of its images were bad) and counts for the index."""

    digest: str
    file: ShardFile | None
    quarantined: tuple[Quarantined, ...]
    class_segments: tuple[int, ...]
    class_pixels: tuple[int, ...]

    def to_json(self) -> str:
        """Return the entry as JSON text."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> "WrittenShare":
        """Read an entry that `to_json` wrote.

        Raises:
            ValueError: if the text is no such entry.
        """
        try:
            fields = json.loads(text)
            file = fields.pop("file")
            return WrittenShare(
                digest=fields.pop("digest"),
                file=None if file is None else shard_file_from_plain(file),
                quarantined=tuple(Quarantined(**entry) for entry in fields.pop("quarantined")),
                **{key: tuple(value) for key, value in fields.items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the entry of a written share ({error!r}); remove it") from error


def plan_shares(records: Sequence[ImageRecord], target_bytes: float) -> list[Share]:
    """Cut records, in their order, into shares of about equal and at most about `target_bytes` of photos.

    Raises:
        ValueError: if the target is not positive.
    """
    if target_bytes <= 0:
        raise ValueError(f"shards of {target_bytes:g} bytes cannot be written; give a positive size")
    stamps = list(map_in_threads(_stamp, [record.image_path for record in records]))
    sizes = np.array([size for size, _ in stamps], dtype=np.float64)
    num_shares = max(int(np.ceil(sizes.sum() / target_bytes)), 1)
    middles = np.cumsum(sizes) - sizes / 2
    place = np.minimum((middles * num_shares / max(sizes.sum(), 1.0)).astype(np.int64), num_shares - 1)
    starts = np.unique(place, return_index=True)[1].tolist() if len(records) else []
    shares = []
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(records)], strict=True)):
        part = tuple(records[start:stop])
        identity = [[r.image_id, str(r.image_path), *s] for r, s in zip(part, stamps[start:stop], strict=True)]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        shares.append(Share(number=number, records=part, digest=digest))
    return shares


def write_share(share: Share, split: Split, part: Part, folder: Path, *, skip_bad: bool) -> WrittenShare:
    """Write the images of a share to one parquet file in a folder, named by content, and return what it holds.

    Raises:
        FileNotFoundError: if a file is missing and bad images are not to be skipped.
        ValueError: if one cannot be used and bad images are not to be skipped.
    """
    counts = _Counts.of(split)
    unfinished = folder / UNFINISHED
    rows_per_group = write_shard(unfinished, _rows(share, split, part, counts, skip_bad=skip_bad))
    file = None
    if rows_per_group:
        with unfinished.open("rb") as handle:
            sha256 = hashlib.file_digest(handle, "sha256").hexdigest()
        file = ShardFile(
            name=content_name(share.number, sha256),
            sha256=sha256,
            num_bytes=unfinished.stat().st_size,
            rows_per_group=rows_per_group,
        )
        unfinished.replace(folder / file.name)
    else:
        unfinished.unlink()
    return WrittenShare(
        digest=share.digest,
        file=file,
        quarantined=tuple(counts.quarantined),
        class_segments=tuple(counts.class_segments.tolist()),
        class_pixels=tuple(counts.class_pixels.tolist()),
    )


def index_of(
    written: Iterable[WrittenShare], split: Split, part: Part, left_out: Mapping[str, int], quarantined: int = 0
) -> ShardIndex:
    """Return the index of written shares, of which it keeps the files; the rest is counted as they come.

    `left_out` counts the images of each reason why the split does not use them, `quarantined` those that did not get
    into any share.
    """
    files, bad, total = list[ShardFile](), quarantined, _Counts.of(split)
    for share in written:
        files += [] if share.file is None else [share.file]
        bad += len(share.quarantined)
        total.class_segments += np.array(share.class_segments)
        total.class_pixels += np.array(share.class_pixels)
    kept = sum(file.num_rows for file in files)
    counts = {"found": kept + bad + sum(left_out.values()), "kept": kept, **left_out, "quarantined": bad}
    return ShardIndex(
        schema_version=SCHEMA_VERSION,
        split=split.name,
        part=part,
        classes=hashlib.sha256(split.classes.to_json().encode()).hexdigest(),
        files=tuple(files),
        counts=counts,
        class_segments=tuple(total.class_segments.tolist()),
        class_pixels=tuple(total.class_pixels.tolist()),
    )


@dataclass
class _Counts:
    class_segments: np.ndarray
    class_pixels: np.ndarray
    quarantined: list[Quarantined] = field(default_factory=list)

    @staticmethod
    def of(split: Split) -> "_Counts":
        num_classes = split.classes.num_classes
        return _Counts(np.zeros(num_classes, np.int64), np.zeros(num_classes, np.int64))

    def add(self, sample: Sample) -> None:
        for segment in sample.segments:
            self.class_segments[segment.class_index] += 1
            self.class_pixels[segment.class_index] += segment.area_px


def _rows(share: Share, split: Split, part: Part, counts: _Counts, *, skip_bad: bool) -> Iterator[dict[str, Any]]:
    for record in share.records:
        try:
            image = load(record, split, part)
            row = encode_row(image.jpeg, image.sample, image.hidden_px)
        except (DataError, MissingFileError) as error:
            if not skip_bad:
                raise
            counts.quarantined.append(Quarantined.of(error, record.image_id))
            continue
        counts.add(image.sample)
        yield row


def _stamp(path: Path) -> tuple[int, int]:
    """Return size and time of change; of a file that is missing, what no file has: `load` will blame it."""
    try:
        status = path.stat()
    except OSError:
        return 0, -1
    return status.st_size, status.st_mtime_ns
