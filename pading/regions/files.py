"""Cached region embeddings: one parquet file a style, one row an image, read beside the predictions by image id.

Embeddings are kept in half precision, which moves a cosine by less than 1e-4, and brought back to unit length when they
are read. Axes: Q queries, E width of the image branch.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Float32

from pading.data.errors import DataError, MissingFileError
from pading.data.shards.rows import PARQUET_OPTIONS
from pading.evaluate.predictions import ROWS_PER_GROUP, ImagePrediction

REGION_VERSION = 1
LARGEST_ROW = 2**28  # values of one image; refuses absurd sizes in a damaged row before memory is asked for
REGION_SCHEMA = pa.schema(
    [
        ("version", pa.int64()),
        ("image_id", pa.int64()),
        ("queries", pa.int64()),
        ("width", pa.int64()),
        ("embeddings", pa.binary()),  # zstd of little-endian float16, (Q, E); NaN rows were not encoded
        ("checksum", pa.int64()),  # CRC-32 of all the above
    ]
)
_AGAIN = "run `--from regions --force`"


def region_file(folder: Path, style: str) -> Path:
    """Return where the embeddings of a style lie."""
    return folder / f"{style}.parquet"


def to_row(image_id: int, embeddings: Float[np.ndarray, "Q E"]) -> dict[str, Any]:
    """Return an image's embeddings as one parquet row, see REGION_SCHEMA."""
    queries, width = embeddings.shape
    row = {
        "version": REGION_VERSION,
        "image_id": image_id,
        "queries": queries,
        "width": width,
        "embeddings": pa.Codec("zstd", 3).compress(embeddings.astype("<f2").tobytes(), asbytes=True),
    }
    return row | {"checksum": _checksum(row)}


def from_row(row: Mapping[str, Any], file: str) -> Float32[np.ndarray, "Q E"]:
    """Return the embeddings that `to_row` encoded, of unit length or NaN.

    Raises:
        DataError: if the row has another version, or is damaged; the message names the file.
    """
    if row["version"] != REGION_VERSION:
        raise DataError(file, f"has version {row['version']}, this code reads {REGION_VERSION}", _AGAIN)
    shape = (int(row["queries"]), int(row["width"]))
    if row["checksum"] != _checksum(row) or min(shape) < 1 or shape[0] * shape[1] > LARGEST_ROW:
        raise DataError(file, f"the row of image {row['image_id']} is damaged", _AGAIN)
    try:
        content = pa.Codec("zstd").decompress(row["embeddings"], decompressed_size=2 * shape[0] * shape[1])
        halves = np.frombuffer(content, dtype="<f2").reshape(shape).astype(np.float32)
    except (OSError, ValueError) as error:
        raise DataError(file, f"the row of image {row['image_id']} is damaged ({error})", _AGAIN) from error
    halves /= np.linalg.norm(halves, axis=1, keepdims=True)
    return halves


@contextmanager
def region_writer(path: Path) -> Iterator[Callable[[int, Float[np.ndarray, "Q E"]], None]]:
    """Yield a function that takes image id and embeddings, image by image; the file appears when all went well."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    group: list[dict[str, Any]] = []

    def flush() -> None:
        writer.write_table(pa.Table.from_pylist(group, schema=REGION_SCHEMA))
        group.clear()

    def add(image_id: int, embeddings: Float[np.ndarray, "Q E"]) -> None:
        group.append(to_row(image_id, embeddings))
        if len(group) == ROWS_PER_GROUP:
            flush()

    try:
        with pq.ParquetWriter(unfinished, REGION_SCHEMA, **PARQUET_OPTIONS) as writer:
            yield add
            flush()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_regions(path: Path, rows: Iterable[tuple[int, Float[np.ndarray, "Q E"]]]) -> None:
    """Write (image id, embeddings) pairs of one style."""
    with region_writer(path) as add:
        for image_id, embeddings in rows:
            add(image_id, embeddings)


def with_regions(
    predictions: Iterator[ImagePrediction], folder: Path, styles: Sequence[str]
) -> Iterator[ImagePrediction]:
    """Yield predictions with their region embeddings, joined by image id; a row group of each style is in memory.

    Raises:
        MissingFileError: if there is no file of a style.
        DataError: if a file is damaged, lacks an image, or has another number of queries.
    """
    files = {style: _RegionFile(region_file(folder, style)) for style in styles}
    for prediction in predictions:
        regions = {style: file.embeddings(prediction.image_id) for style, file in files.items()}
        for style, embeddings in regions.items():
            if len(embeddings) != len(prediction.mask_logits):
                what = (
                    f"image {prediction.image_id} has {len(embeddings)} queries here, {len(prediction.mask_logits)} in "
                    "its prediction"
                )
                raise DataError(str(region_file(folder, style)), what, _AGAIN)
        yield replace(prediction, regions={**prediction.regions, **regions})


class _RegionFile:
    """One file, read a row group at a time: in the order it was written in, each group is read once."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise MissingFileError(str(path), "no region embeddings of this style", f"{_AGAIN} with it in the styles")
        self.path = path
        self.group_of: dict[int, int] = {}
        for group, table in enumerate(self._read(["image_id"])):
            self.group_of |= dict.fromkeys(table["image_id"].to_pylist(), group)
        self.loaded = -1
        self.rows: dict[int, dict[str, Any]] = {}

    def embeddings(self, image_id: int) -> Float32[np.ndarray, "Q E"]:
        if image_id not in self.group_of:
            raise DataError(str(self.path), f"has no row of image {image_id}", _AGAIN)
        if self.loaded != self.group_of[image_id]:
            self.loaded = self.group_of[image_id]
            (table,) = self._read(REGION_SCHEMA.names, [self.loaded])
            self.rows = {row["image_id"]: row for row in table.to_pylist()}
        return from_row(self.rows[image_id], str(self.path))

    def _read(self, columns: list[str], groups: Sequence[int] | None = None) -> Iterator[pa.Table]:
        wanted = pa.schema([REGION_SCHEMA.field(name) for name in columns])
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                for group in range(file.num_row_groups) if groups is None else groups:
                    table = file.read_row_group(group, columns=columns, use_threads=False).cast(wanted)
                    if any(column.null_count for column in table.columns):
                        raise ValueError("a value is missing")
                    yield table
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(str(self.path), f"is truncated or corrupt ({error})", _AGAIN) from error


def _checksum(row: Mapping[str, Any]) -> int:
    numbers = " ".join(str(row[name]) for name in ("version", "image_id", "queries", "width"))
    return zlib.crc32(row["embeddings"], zlib.crc32(numbers.encode()))
