"""The shard format: one parquet row is one image, photo as found, label maps compressed, segments as a list."""

import contextlib
import io
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem, LocalFileSystem

from pading.data.errors import DataError, MissingFileError
from pading.data.images import MAX_PIXELS, open_photo
from pading.data.jpeg import decode_jpeg
from pading.data.sample import Sample, segments_from_plain, segments_to_plain
from pading.data.shards.label_maps import WRITE_AGAIN, decode_label_map, encode_label_map

SCHEMA_VERSION = "2"
VERSION_KEY = b"pading.shard_version"
SEGMENT_TYPE = pa.struct(
    [("segment_id", pa.int64()), ("class_index", pa.int32()), ("is_crowd", pa.bool_()), ("area_px", pa.int64())]
)
SHARD_SCHEMA = pa.schema(
    [
        ("image_id", pa.int64()),
        ("file_name", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("image", pa.binary()),
        ("label_maps", pa.list_(pa.binary())),  # one a layer, see label_maps.py
        ("hidden_px", pa.int64()),  # pixels of unseen classes that were made void; 0 except in semantic training data
        ("segments", pa.list_(SEGMENT_TYPE)),
    ],
    metadata={VERSION_KEY: SCHEMA_VERSION},
)
ROWS_PER_GROUP = 16  # about 3 MB of COCO: what a reader holds in memory
# JPEG and zstd do not compress further; checksums let a reader notice a flipped bit.
PARQUET_OPTIONS = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "write_page_checksum": True,
}


def encode_row(jpeg: bytes, sample: Sample, hidden_px: int = 0) -> dict[str, Any]:
    """Return the shard row of an image; `pa.Table.from_pylist([row], schema=SHARD_SCHEMA)` takes it as it is.

    Raises:
        ValueError: if the label map refers to a segment that the sample lacks.
    """
    _, height, width = sample.label_maps.shape
    if (highest := int(sample.label_maps.max(initial=0))) > len(sample.segments):
        raise DataError(
            sample.file_name, f"label {highest} but {len(sample.segments)} segments", "give a segment for each label"
        )
    return {
        "image_id": sample.image_id,
        "file_name": sample.file_name,
        "height": height,
        "width": width,
        "image": jpeg,
        "label_maps": [encode_label_map(layer, len(sample.segments)) for layer in sample.label_maps],
        "hidden_px": hidden_px,
        "segments": segments_to_plain(sample.segments),
    }


def decode_row(row: Mapping[str, Any], max_pixels: int = MAX_PIXELS) -> Sample:
    """Return the image of a shard row, at full size.

    Raises:
        ValueError: if photo or label map are damaged, of another size than the row says, or larger than `max_pixels`.
    """
    file = row_name(row)
    photo = open_photo(io.BytesIO(row["image"]), file, max_pixels)
    label_maps = decode_row_labels(row, max_pixels)
    _, height, width = label_maps.shape
    if (photo.height, photo.width) != (height, width):
        what = f"photo is {photo.width} x {photo.height}, label map {width} x {height}"
        raise DataError(file, what, WRITE_AGAIN)
    return Sample(
        image_id=int(row["image_id"]),
        file_name=str(row["file_name"]),
        image=decode_jpeg(row["image"], file, (height, width)),
        label_maps=label_maps.astype(np.uint16),
        segments=segments_from_plain(row["segments"]),
    )


def decode_row_labels(row: Mapping[str, Any], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the label maps of a shard row, (L, H, W), as uint8 where 255 segments or fewer allow it, else uint16.

    Raises:
        ValueError: if it is damaged, of another size than the row says, or has a label without a segment.
    """
    file = row_name(row)
    size, num_segments = (int(row["height"]), int(row["width"])), len(row["segments"])
    layers = [decode_label_map(layer, file, size, num_segments, max_pixels) for layer in row["label_maps"]]
    if not layers:
        raise DataError(file, "has no label map", WRITE_AGAIN)
    return np.stack(layers) if len(layers) > 1 else layers[0][None]


def row_name(row: Mapping[str, Any]) -> str:
    """Return how messages name a row."""
    return f"{row['file_name']} (image id {row['image_id']})"


def write_shard(path: Path, rows: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
    """Write rows to one parquet file and return the rows of each row group; no more than a row group is in memory.

    The file is under a temporary name until it is complete.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    rows_per_group = []
    source = iter(rows)
    try:
        with pq.ParquetWriter(unfinished, SHARD_SCHEMA, **PARQUET_OPTIONS) as writer:
            while group := list(islice(source, ROWS_PER_GROUP)):
                writer.write_table(pa.Table.from_pylist(group, schema=SHARD_SCHEMA), row_group_size=ROWS_PER_GROUP)
                rows_per_group.append(len(group))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return tuple(rows_per_group)


def read_row_group(filesystem: FileSystem, path: str, group: int, columns: Collection[str] | None = None) -> pa.Table:
    """Return one row group of a shard, all columns or some, its checksums verified.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, of another schema version, or has no such row group.
    """
    with _opened(filesystem, path) as file:
        if not 0 <= group < file.num_row_groups:
            raise DataError(path, f"has {file.num_row_groups} row groups, none is number {group}", WRITE_AGAIN)
        return file.read_row_group(group, columns=columns, use_threads=False)


def read_rows(
    path: str | Path, filesystem: FileSystem | None = None, columns: Collection[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard, a row group at a time; without a file system, of a file on this machine.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or of another schema version.
    """
    with _opened(filesystem or LocalFileSystem(), str(path)) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=columns, use_threads=False).to_pylist()


@contextlib.contextmanager
def _opened(filesystem: FileSystem, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with (
            filesystem.open_input_file(path) as source,
            pq.ParquetFile(source, page_checksum_verification=True) as file,
        ):
            _check_schema(file.schema_arrow, path)
            yield file
    except FileNotFoundError as error:
        raise MissingFileError(path, "no such shard", WRITE_AGAIN) from error
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(path, f"is truncated or corrupt ({error})", WRITE_AGAIN) from error


def _check_schema(schema: pa.Schema, path: str) -> None:
    version = (schema.metadata or {}).get(VERSION_KEY, b"none").decode(errors="replace")
    if version != SCHEMA_VERSION:
        what = f"has shard version {version!r}, this code reads {SCHEMA_VERSION!r}"
        raise DataError(path, what, WRITE_AGAIN)
    if not schema.equals(SHARD_SCHEMA):
        raise DataError(path, f"has columns {schema.names}, not those of a shard", WRITE_AGAIN)
