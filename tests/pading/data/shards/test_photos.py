from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pyarrow.fs import LocalFileSystem

from pading.data.errors import DataError
from pading.data.shards import photos as photos_module
from pading.data.shards.photos import ShardPhotos, photo_places
from pading.data.shards.rows import ROWS_PER_GROUP, decode_row, encode_row, write_shard

HERE = LocalFileSystem()


@pytest.fixture
def files(tmp_path: Path, make_sample: Callable, jpeg_of: Callable) -> dict[str, tuple[int, ...]]:
    """Two shards; 20 photos whose brightness is their id."""
    rows = []
    for image_id in range(20):
        sample = make_sample(np.zeros((4, 5), int), [], image_id=image_id)
        rows.append(encode_row(jpeg_of(np.full((4, 5, 3), 10 * image_id, np.uint8)), sample))
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    return {str(first): write_shard(first, rows[:18]), str(second): write_shard(second, rows[18:])}


def test_any_photo_is_found_by_its_id(files: dict[str, tuple[int, ...]]) -> None:
    places = photo_places(HERE, files)
    assert {image_id: group for image_id, (_, group) in places.items()} == {
        image_id: int(image_id in (16, 17)) for image_id in range(20)
    }
    found = ShardPhotos(HERE, places)
    for image_id in (3, 19, 0, 17, 16):
        assert found[image_id].shape == (4, 5, 3)
        assert abs(int(found[image_id].mean()) - 10 * image_id) <= 2


def test_photos_are_those_of_the_samples(files: dict[str, tuple[int, ...]]) -> None:
    found = ShardPhotos(HERE, photo_places(HERE, files))
    for path in files:
        for row in photos_module.read_rows(path):
            np.testing.assert_array_equal(found[row["image_id"]], decode_row(row).image)


def test_in_the_shards_order_each_row_group_is_read_once(
    files: dict[str, tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, reads = ShardPhotos(HERE, photo_places(HERE, files)), []

    def counted(*arguments: object) -> object:
        reads.append(arguments[1:3])
        return read(*arguments)

    read = photos_module.read_row_group
    monkeypatch.setattr(photos_module, "read_row_group", counted)
    for image_id in range(20):
        assert found[image_id].size
    first, second = files
    assert ROWS_PER_GROUP == 16
    assert reads == [(first, 0), (first, 1), (second, 0)]


def test_an_unknown_photo_is_refused(files: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="the shards have no image 99"):
        ShardPhotos(HERE, photo_places(HERE, files))[99]


def test_an_index_of_other_files_is_noticed(files: dict[str, tuple[int, ...]]) -> None:
    first = next(iter(files))
    with pytest.raises(DataError, match="has 18 images, its index says 16"):
        photo_places(HERE, {first: (16,)})
