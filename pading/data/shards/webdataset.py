"""Shard rows as WebDataset tar files, for readers of other projects: plain tar, one sample after the other.

A sample is `ID.jpg`, the photo as found; `ID.LAYER.png`, its label maps (0 unlabelled, i + 1 = segment i); `ID.json`.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pading.classes import ClassTable
from pading.data.images import encode_png
from pading.data.shards.rows import decode_row_labels

DIGITS = 12  # of an image id, as in COCO's own file names


def write_tars(
    rows: Iterable[Mapping[str, Any]], folder: Path, prefix: str, classes: ClassTable, tar_bytes: int
) -> Iterator[tuple[Path, int]]:
    """Write rows to PREFIX-00000.tar, ... of about `tar_bytes` each; yield each whole file and how many samples it has.

    Equal rows make equal bytes: no time and no owner is recorded. No more than one sample is in memory.

    Raises:
        ValueError: if the size is not positive.
    """
    if tar_bytes <= 0:
        raise ValueError(f"tar files of {tar_bytes} bytes cannot be written; give a positive size")
    source = iter(rows)
    row = next(source, None)
    number = 0
    while row is not None:
        path = folder / f"{prefix}-{number:05d}.tar"
        num_samples = 0
        with path.open("wb") as target, tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            while row is not None and (num_samples == 0 or target.tell() < tar_bytes):
                for name, content in sample_files(row, classes):
                    member = tarfile.TarInfo(name)  # a time of 0, no owner, mode 0644
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
                num_samples += 1
                row = next(source, None)
        yield path, num_samples
        number += 1


def sample_files(row: Mapping[str, Any], classes: ClassTable) -> list[tuple[str, bytes]]:
    """Return the files of one sample, photo first; the JSON also names each segment's class and COCO id."""
    key = f"{row['image_id']:0{DIGITS}d}"
    segments = [
        {
            **segment,
            "class_name": classes.names[segment["class_index"]],
            "coco_id": classes.coco_ids[segment["class_index"]],
        }
        for segment in row["segments"]
    ]
    plain = {name: row[name] for name in ("image_id", "file_name", "height", "width", "hidden_px")}
    return [
        (f"{key}.jpg", row["image"]),
        *((f"{key}.{number}.png", encode_png(layer)) for number, layer in enumerate(decode_row_labels(row))),
        (f"{key}.json", json.dumps({**plain, "segments": segments}).encode()),
    ]
