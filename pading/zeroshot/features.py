"""Cached training features: the class embeddings of a frozen segmenter's queries with their labels, as parquet parts.

Axes: N rows (one a query), D query-embedding width. The label K, one past the last class, is no-object.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from pading.classes import ClassTable
from pading.randomness import generator_for

SCHEMA_VERSION = "1"
_VERSION_KEY = b"pading.features.schema"


@dataclass(frozen=True)
class Features:
    """Query embeddings of many images, each with its class (or no-object) and the image it comes from."""

    embeddings: Float32[Tensor, "N D"]
    labels: Int64[Tensor, "N"]
    image_ids: Int64[Tensor, "N"]

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or self.embeddings.dtype != torch.float32:
            raise ValueError(
                f"embeddings are {self.embeddings.dtype} of shape {tuple(self.embeddings.shape)}: "
                "pass a float32 (rows, width) tensor"
            )
        for name, column in (("labels", self.labels), ("image_ids", self.image_ids)):
            if column.shape != self.embeddings.shape[:1] or column.dtype != torch.int64:
                raise ValueError(
                    f"{name} are {column.dtype} of shape {tuple(column.shape)}: "
                    f"pass one int64 for each of the {len(self.embeddings)} embeddings"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: Bool[Tensor, "N"]) -> "Features":
        """Return the rows at which `chosen` holds, in order."""
        return Features(self.embeddings[chosen], self.labels[chosen], self.image_ids[chosen])


def concatenate(parts: Iterable[Features]) -> Features:
    """Join parts in the order given.

    Raises:
        ValueError: if there is no part, or the parts differ in width.
    """
    parts = list(parts)
    widths = {part.embeddings.shape[1] for part in parts}
    if len(widths) != 1:
        raise ValueError(
            f"{len(parts)} feature parts of widths {sorted(widths)}: pass at least one part, all of one width"
        )
    return Features(
        torch.cat([part.embeddings for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat([part.image_ids for part in parts]),
    )


def feature_schema(width: int) -> pa.Schema:
    """Return the columns of a part whose embeddings have this width, with the schema version."""
    columns = {"image_id": pa.int64(), "label": pa.int32(), "embedding": pa.list_(pa.float32(), width)}
    return pa.schema(columns, metadata={_VERSION_KEY: SCHEMA_VERSION.encode()})


def features_table(features: Features) -> pa.Table:
    """Return the features as the rows of a part."""
    width = features.embeddings.shape[1]
    flat = pa.array(features.embeddings.detach().cpu().numpy().reshape(-1))
    columns = [
        pa.array(features.image_ids.cpu().numpy()),
        pa.array(features.labels.cpu().numpy().astype(np.int32)),
        pa.FixedSizeListArray.from_arrays(flat, width),
    ]
    return pa.Table.from_arrays(columns, schema=feature_schema(width))


def write_features(path: Path, features: Features) -> None:
    """Write one parquet part; it appears under its name only when complete."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    pq.write_table(
        features_table(features), unfinished, compression="zstd", use_dictionary=False, write_page_checksum=True
    )
    unfinished.replace(path)


def read_features(paths: Iterable[Path]) -> Features:
    """Read parts that `write_features` wrote, in the order given.

    Raises:
        ValueError: if a file is not such a part (the message names it), if there is none, or if widths differ.
    """
    return concatenate(_read_part(path) for path in paths)


def split_by_image(features: Features, fraction: float, seed: int) -> tuple[Features, Features]:
    """Split into (rest, held out) so that no image has rows on both sides; about `fraction` of the images is held out.

    Raises:
        ValueError: if the fraction is not inside (0, 1), or either side would be empty.
    """
    images = torch.unique(features.image_ids)
    num_held_out = round(len(images) * fraction)
    if not 0 < fraction < 1 or not 0 < num_held_out < len(images):
        raise ValueError(f"cannot hold out {fraction} of {len(images)} images: both sides need at least one image")
    order = torch.randperm(len(images), generator=generator_for(seed, "split by image")).to(images.device)
    is_held_out = torch.isin(features.image_ids, images[order[:num_held_out]])
    return features.where(~is_held_out), features.where(is_held_out)


def require_only(features: Features, allowed: Iterable[int], classes: ClassTable) -> None:
    """Check that no row has a label outside `allowed`: this is the wall between real features and unseen classes.

    Raises:
        ValueError: naming the first label that is not allowed.
    """
    is_allowed = torch.isin(features.labels, torch.tensor(sorted(allowed), device=features.labels.device))
    if not bool(is_allowed.all()):
        label = int(features.labels[~is_allowed][0])
        name = repr(classes.names[label]) if 0 <= label < classes.num_classes else "no class of the table"
        raise ValueError(
            f"{int((~is_allowed).sum())} of {len(features)} features may not be fitted on, the first has label {label} "
            f"({name}): drop these rows, or check that the class table is the one of the cache"
        )


def _read_part(path: Path) -> Features:
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"feature file {path} is corrupt ({error}): write the cache again") from error
    return rows_of_table(table, path)


def rows_of_table(table: pa.Table, path: Path) -> Features:
    """Return the features of a table that was read from `path`.

    Raises:
        ValueError: as `require_schema` does.
    """
    require_schema(table.schema, path)
    column = table.column("embedding").combine_chunks()
    embeddings = column.flatten().to_numpy().reshape(len(table), column.type.list_size)
    return Features(
        torch.from_numpy(embeddings.copy()),
        torch.from_numpy(table.column("label").to_numpy().astype(np.int64)),
        torch.from_numpy(table.column("image_id").to_numpy().copy()),
    )


def require_schema(schema: pa.Schema, path: Path) -> None:
    """Check that a file is a part of a cache.

    Raises:
        ValueError: if it has another schema version or other columns.
    """
    version = (schema.metadata or {}).get(_VERSION_KEY, b"none").decode()
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"feature file {path} has schema version {version}, this code reads {SCHEMA_VERSION}: write the cache again"
        )
    # A column of another type could be one that a library loaded beside us turns into Python objects, by pickle.
    if not any(schema.equals(feature_schema(width)) for width in _widths(schema)):
        raise ValueError(f"feature file {path} has columns {schema.types}: write the cache again")


def _widths(schema: pa.Schema) -> list[int]:
    """Return the width of each column of vectors of one length."""
    return [kind.list_size for kind in schema.types if pa.types.is_fixed_size_list(kind)]
