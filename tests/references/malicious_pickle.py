"""Files that run code when they are unpickled: each slot that a run reads gets one."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.marker,)


def as_torch_file(path: Path, marker: Path) -> None:
    torch.save({"weight": Bomb(marker)}, path)


def as_raw_pickle(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": Bomb(marker)}, protocol=2))  # what torch writes, so that it reads on


def as_npy(path: Path, marker: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Bomb(marker)], dtype=object), allow_pickle=True)


def as_npz(path: Path, marker: Path, names: tuple[str, ...]) -> None:
    """Write an archive of which every array is pickled."""
    member = io.BytesIO()
    np.save(member, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"{name}.npy", member.getvalue())


def as_parquet(path: Path, marker: Path, schema: pa.Schema) -> None:
    """Write columns of the type that Ray Data unpickles, under the names and the metadata that the reader expects."""
    from ray.data._internal.object_extensions.arrow import ArrowPythonObjectType

    kind = ArrowPythonObjectType()
    column = kind.wrap_array(pa.array([pickle.dumps(Bomb(marker))], type=kind.storage_type))
    fields = pa.schema([pa.field(name, kind) for name in schema.names], metadata=schema.metadata)
    pq.write_table(pa.Table.from_arrays([column] * len(schema.names), schema=fields), path)
