"""Ray Data to parquet files with stable names, a fixed schema and small row groups."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import ray.data
from pyarrow.fs import FileSystem

from pading.data.errors import DataError
from pading.data.shards.rows import PARQUET_OPTIONS
from pading.data.threads import map_in_threads

EXTENSION = b"ARROW:extension:name"  # how a file names such a type to a reader that does not know it


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
        ValueError: if there are no files, or one has a column that Ray would unpickle.
    """
    if not files:
        raise ValueError("no parquet files to read; run the stage that writes them first")
    paths = [str(path) for path in files]
    for path, schema in zip(
        paths, map_in_threads(lambda p: pq.read_schema(p, filesystem=filesystem), paths), strict=True
    ):
        _refuse_objects(schema, path)
    return ray.data.read_parquet(paths, filesystem=filesystem, override_num_blocks=len(paths))


def count_rows(files: Sequence[str | Path], filesystem: FileSystem | None = None) -> int:
    """Return the number of rows in parquet files, from their footers."""
    return sum(map_in_threads(lambda path: pq.read_metadata(str(path), filesystem=filesystem).num_rows, files))


def _refuse_objects(fields: Iterable[pa.Field], path: str) -> None:
    """Refuse columns of types that are not parquet's own: Ray Data makes Python objects of them, by pickle."""
    for field in fields:
        if isinstance(field.type, pa.BaseExtensionType) or EXTENSION in (field.metadata or {}):
            raise DataError(
                path, f"column {field.name!r} is of the type {field.type}, not data", "write the file again"
            )
        _refuse_objects((field.type.field(index) for index in range(field.type.num_fields)), path)
