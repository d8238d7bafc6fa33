"""Photos of shards by image id, for readers that go by something else than the shards' own order."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8
from pyarrow.fs import FileSystem

from pading.data.errors import DataError
from pading.data.jpeg import decode_jpeg
from pading.data.shards.rows import read_row_group, read_rows, row_name

COLUMNS = ("image_id", "file_name", "height", "width", "image")
Places = Mapping[int, tuple[str, int]]  # of an image: its file and row group


def photo_places(filesystem: FileSystem, files: Mapping[str, Sequence[int]]) -> dict[int, tuple[str, int]]:
    """Return where each image lies, from the ids alone.

    Args:
        filesystem: where the files are.
        files: rows of each row group, by path, as the index of the shards says.

    Raises:
        ValueError: if a file is damaged, or has another number of rows than the index says.
    """
    places: dict[int, tuple[str, int]] = {}
    for path, rows_per_group in files.items():
        groups = np.repeat(np.arange(len(rows_per_group)), rows_per_group)
        ids = [row["image_id"] for row in read_rows(path, filesystem, ["image_id"])]
        if len(ids) != len(groups):
            raise DataError(path, f"has {len(ids)} images, its index says {len(groups)}", "write the shards again")
        places |= {image_id: (path, int(group)) for image_id, group in zip(ids, groups, strict=True)}
    return places


class ShardPhotos:
    """Photos by image id; one row group is in memory, so that asking in the shards' order reads each group once."""

    def __init__(self, filesystem: FileSystem, places: Places) -> None:
        self.filesystem, self.places = filesystem, places
        self.loaded: tuple[str, int] | None = None
        self.rows: dict[int, dict] = {}

    def __getitem__(self, image_id: int) -> UInt8[np.ndarray, "H W 3"]:
        """Return a decoded photo.

        Raises:
            ValueError: if the shards have no such image, or it is damaged.
        """
        if image_id not in self.places:
            raise ValueError(f"the shards have no image {image_id}; cache again, from the shards that are there")
        if self.loaded != self.places[image_id]:
            self.loaded = self.places[image_id]
            table = read_row_group(self.filesystem, *self.loaded, COLUMNS)
            self.rows = {row["image_id"]: row for row in table.to_pylist()}
        row = self.rows[image_id]
        return decode_jpeg(row["image"], row_name(row), (row["height"], row["width"]))
