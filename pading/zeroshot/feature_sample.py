"""Cached features up to a number of rows: whole images, drawn by a seed, so that memory has a bound whatever the cache.

A cache of fewer rows is read whole and in order. Two passes over a larger one: image ids alone, then the rows.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pading.randomness import derive_seed
from pading.zeroshot.features import Features, concatenate, read_features, require_schema, rows_of_table


def read_feature_sample(paths: Sequence[Path], max_rows: int, seed: int) -> tuple[Features, int]:
    """Return the rows of as many images as fit into `max_rows`, in the order of the cache, and how many rows there are.

    Which images are taken depends on the seed and on the ids and numbers of rows of all images, not on the files.

    Raises:
        ValueError: if no image fits, or as `read_features` does.
    """
    if max_rows < 1:
        raise ValueError(f"at most {max_rows} rows: allow at least 1")
    num_rows = sum(_opened(path).metadata.num_rows for path in paths)
    if num_rows <= max_rows:
        return read_features(paths), num_rows
    ids = np.concatenate([_opened(path).read(["image_id"]).column(0).to_numpy() for path in paths])
    images, counts = np.unique(ids, return_counts=True)
    order = np.random.default_rng(derive_seed(seed, "feature sample")).permutation(len(images))
    chosen = np.sort(images[order[counts[order].cumsum() <= max_rows]])
    if not len(chosen):
        raise ValueError(f"the features of one image alone are more than {max_rows} rows: allow more")
    return concatenate(_rows_of(path, chosen) for path in paths), num_rows


def _rows_of(path: Path, images: np.ndarray) -> Features:
    wanted, file = pa.array(images), _opened(path)
    batches = [batch.filter(pc.is_in(batch.column("image_id"), value_set=wanted)) for batch in file.iter_batches()]
    return rows_of_table(pa.Table.from_batches(batches, schema=file.schema_arrow), path)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        raise ValueError(f"feature file {path} is corrupt ({error}): write the cache again") from error
    require_schema(file.schema_arrow, path)
    return file
