"""Ray Data to parquet files with stable names, a fixed schema and small row groups."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from pyarrow.fs import FileSystem

from pading.data.shards.rows import PARQUET_OPTIONS


def write_parquet(dataset: ray.data.Dataset, folder: Path, schema: pa.Schema, rows_per_group: int) -> list[Path]:
    """Run `dataset` into `folder/part-00000.parquet`, ... in the dataset's order and return the files.

    Ray names its files by a random id; equal data must have equal names, so they are renamed in order.
    """
    dataset.write_parquet(str(folder), schema=schema, row_group_size=rows_per_group, **PARQUET_OPTIONS)
    written = sorted(folder.glob("*.parquet"))
    return [path.rename(folder / f"part-{index:05d}.parquet") for index, path in enumerate(written)]


def read_parquet(files: Sequence[str | Path], filesystem: FileSystem | None = None) -> ray.data.Dataset:
    """Stream parquet files in the order given, one block a file or less; without a file system, of this machine's.

    Raises:
        ValueError: if there are no files.
    """
    if not files:
        raise ValueError("no parquet files to read; run the stage that writes them first")
    paths = [str(path) for path in files]
    return ray.data.read_parquet(paths, filesystem=filesystem, override_num_blocks=len(paths))


def count_rows(files: Sequence[str | Path], filesystem: FileSystem | None = None) -> int:
    """Return the number of rows in parquet files, from their footers."""
    return sum(pq.read_metadata(str(path), filesystem=filesystem).num_rows for path in files)
