"""The shard format: one parquet row is one image, photo as found, label map as a small PNG, segments as a list."""

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pading.data.errors import DataError
from pading.data.images import MAX_PIXELS, decode_label_map, decode_photo, encode_label_map, open_photo
from pading.data.sample import Sample, segments_from_plain, segments_to_plain

SCHEMA_VERSION = "1"
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
        ("label_map", pa.binary()),
        ("segments", pa.list_(SEGMENT_TYPE)),
    ],
    metadata={VERSION_KEY: SCHEMA_VERSION},
)
ROWS_PER_GROUP = 64  # about 10 MB of COCO: what a reader holds in memory
# JPEG and PNG do not compress further; checksums let a reader notice a flipped bit.
PARQUET_OPTIONS = {
    "compression": "none",
    "use_dictionary": False,
    "write_statistics": False,
    "write_page_checksum": True,
}
WRITE_AGAIN = "write the shards again"


def encode_row(jpeg: bytes, sample: Sample) -> dict[str, Any]:
    """Return the shard row of an image; `pa.Table.from_pylist([row], schema=SHARD_SCHEMA)` takes it as it is.

    Raises:
        ValueError: if the label map refers to a segment that the sample lacks.
    """
    height, width = sample.label_map.shape
    if (highest := int(sample.label_map.max(initial=0))) > len(sample.segments):
        raise DataError(
            sample.file_name, f"label {highest} but {len(sample.segments)} segments", "give a segment for each label"
        )
    return {
        "image_id": sample.image_id,
        "file_name": sample.file_name,
        "height": height,
        "width": width,
        "image": jpeg,
        "label_map": encode_label_map(sample.label_map, len(sample.segments)),
        "segments": segments_to_plain(sample.segments),
    }


def decode_row(row: Mapping[str, Any], max_pixels: int = MAX_PIXELS) -> Sample:
    """Return the image of a shard row, at full size.

    Raises:
        ValueError: if photo or label map are damaged, of another size than the row says, or larger than `max_pixels`.
    """
    file = row_name(row)
    photo = open_photo(io.BytesIO(row["image"]), file, max_pixels)
    label_map = decode_row_labels(row, max_pixels)
    if (photo.height, photo.width) != label_map.shape:
        what = f"photo is {photo.width} x {photo.height}, label map {label_map.shape[1]} x {label_map.shape[0]}"
        raise DataError(file, what, WRITE_AGAIN)
    return Sample(
        image_id=int(row["image_id"]),
        file_name=str(row["file_name"]),
        image=np.asarray(decode_photo(photo, file)),
        label_map=label_map,
        segments=segments_from_plain(row["segments"]),
    )


def decode_row_labels(row: Mapping[str, Any], max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the label map of a shard row, (H, W) uint16.

    Raises:
        ValueError: if it is damaged, of another size than the row says, or has a label without a segment.
    """
    file = row_name(row)
    label_map = decode_label_map(row["label_map"], file, max_pixels)
    if label_map.shape != (row["height"], row["width"]):
        height, width = label_map.shape
        what = f"label map is {width} x {height}, but the row says {row['width']} x {row['height']}"
        raise DataError(file, what, WRITE_AGAIN)
    if (highest := int(label_map.max(initial=0))) > len(row["segments"]):
        raise DataError(file, f"label {highest} but {len(row['segments'])} segments", WRITE_AGAIN)
    return label_map


def row_name(row: Mapping[str, Any]) -> str:
    """Return how messages name a row."""
    return f"{row['file_name']} (image id {row['image_id']})"


def write_shard(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to one parquet file in small row groups, under a temporary name until complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    table = pa.Table.from_pylist(list(rows), schema=SHARD_SCHEMA)
    try:
        pq.write_table(table, unfinished, row_group_size=ROWS_PER_GROUP, **PARQUET_OPTIONS)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard, a row group at a time.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or of another schema version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such shard; {WRITE_AGAIN}")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_schema(file.schema_arrow, path)
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group).to_pylist()
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(str(path), f"is truncated or corrupt ({error})", WRITE_AGAIN) from error


def _check_schema(schema: pa.Schema, path: Path) -> None:
    version = (schema.metadata or {}).get(VERSION_KEY, b"none").decode(errors="replace")
    if version != SCHEMA_VERSION:
        what = f"has shard version {version!r}, this code reads {SCHEMA_VERSION!r}"
        raise DataError(str(path), what, WRITE_AGAIN)
    if not schema.equals(SHARD_SCHEMA):
        raise DataError(str(path), f"has columns {schema.names}, not those of a shard", WRITE_AGAIN)
