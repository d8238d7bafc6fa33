import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from pading.data.shards.rows import (
    ROWS_PER_GROUP,
    SHARD_SCHEMA,
    VERSION_KEY,
    decode_row,
    encode_row,
    read_row_group,
    read_rows,
    write_shard,
)


@pytest.fixture
def rows(make_sample, jpeg_of):
    first = make_sample([[0, 1, 1], [2, 2, 0]], [(5, False), (7, True)], image_id=11)
    second = make_sample([[0, 0]], [], image_id=12)
    return [encode_row(jpeg_of(sample.image), sample) for sample in (first, second)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(num_segments=st.sampled_from([0, 1, 3, 255, 256, 400]), seed=st.integers(0, 9))
def test_rows_keep_everything(make_sample, jpeg_of, num_segments, seed):
    rng = np.random.default_rng(seed)
    label_map = rng.integers(0, num_segments + 1, (13, 9))
    sample = make_sample(label_map, [(int(rng.integers(133)), bool(rng.integers(2))) for _ in range(num_segments)])
    row = encode_row(jpeg_of(sample.image), sample)
    decoded = decode_row(pa.Table.from_pylist([row], schema=SHARD_SCHEMA).to_pylist()[0])
    assert decoded.segments == sample.segments
    assert (decoded.image_id, decoded.file_name) == (sample.image_id, sample.file_name)
    np.testing.assert_array_equal(decoded.label_map, sample.label_map)
    assert np.abs(decoded.image.astype(int) - sample.image).max() <= 3  # JPEG at its best quality


def test_the_photo_is_stored_as_found(rows, make_sample, jpeg_of):
    sample = make_sample([[0, 1, 1], [2, 2, 0]], [(5, False), (7, True)], image_id=11)
    assert rows[0]["image"] == jpeg_of(sample.image)


def test_shards_read_back_as_written(tmp_path, rows):
    write_shard(tmp_path / "a.parquet", rows)
    assert list(read_rows(tmp_path / "a.parquet")) == rows


def test_shards_have_small_row_groups_in_order(tmp_path, rows):
    many = [rows[0] | {"image_id": image_id} for image_id in range(2 * ROWS_PER_GROUP + 1)]
    assert write_shard(tmp_path / "a.parquet", iter(many)) == (ROWS_PER_GROUP, ROWS_PER_GROUP, 1)
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 3
    assert [row["image_id"] for row in read_rows(tmp_path / "a.parquet")] == list(range(2 * ROWS_PER_GROUP + 1))


def test_rows_are_written_as_they_come(tmp_path, rows):
    """When a row of the second group is asked for, the first group has left memory for the disc."""
    path = tmp_path / "a.parquet"
    seen = []

    def source():
        for number in range(ROWS_PER_GROUP + 1):
            seen.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
            yield rows[0] | {"image_id": number}

    write_shard(path, source())
    assert max(seen[:ROWS_PER_GROUP]) < len(rows[0]["image"])
    assert seen[-1] > ROWS_PER_GROUP * len(rows[0]["image"])


def test_equal_rows_make_equal_bytes(tmp_path, rows):
    for name in ("a", "b"):
        write_shard(tmp_path / name, rows)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_one_row_group_is_read_alone(tmp_path, rows):
    path = str(tmp_path / "a.parquet")
    write_shard(Path(path), [rows[0] | {"image_id": image_id} for image_id in range(ROWS_PER_GROUP + 2)])
    table = read_row_group(LocalFileSystem(), path, 1)
    assert table.schema.equals(SHARD_SCHEMA)
    assert table.to_pylist() == [rows[0] | {"image_id": ROWS_PER_GROUP + i} for i in range(2)]
    ids = read_row_group(LocalFileSystem(), path, 0, ["image_id"])
    assert ids.to_pydict() == {"image_id": list(range(ROWS_PER_GROUP))}


@pytest.mark.parametrize("group", [-1, 1])
def test_a_row_group_that_is_not_there_is_refused(tmp_path, rows, group):
    write_shard(tmp_path / "a.parquet", rows)
    with pytest.raises(ValueError, match=rf"a\.parquet: has 1 row groups, none is number {group}; write the shards"):
        read_row_group(LocalFileSystem(), str(tmp_path / "a.parquet"), group)


def test_a_row_group_is_checked_like_the_file(tmp_path, rows):
    path = tmp_path / "a.parquet"
    with pytest.raises(FileNotFoundError, match=r"a\.parquet: no such shard; write the shards again"):
        read_row_group(LocalFileSystem(), str(path), 0)
    write_shard(path, rows)
    content = path.read_bytes()
    middle = content.index(rows[0]["image"]) + len(rows[0]["image"]) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    with pytest.raises(ValueError, match=r"a\.parquet: is truncated or corrupt"):
        read_row_group(LocalFileSystem(), str(path), 0)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(ValueError, match=r"a\.parquet: has shard version 'none'"):
        read_row_group(LocalFileSystem(), str(path), 0)


def test_a_shard_of_no_rows_is_a_shard(tmp_path):
    write_shard(tmp_path / "a.parquet", [])
    assert list(read_rows(tmp_path / "a.parquet")) == []


def test_nothing_is_left_behind_when_writing_fails(tmp_path, rows):
    with pytest.raises(pa.ArrowException):
        write_shard(tmp_path / "a.parquet", [rows[0] | {"height": "tall"}])
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_when_renaming_fails(tmp_path, rows):
    (tmp_path / "a.parquet").mkdir()
    with pytest.raises(OSError, match=r"a\.parquet"):
        write_shard(tmp_path / "a.parquet", rows)
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_shard_is_replaced_whole(tmp_path, rows):
    """Who holds the old file keeps reading the old rows: nothing is written into it."""
    write_shard(tmp_path / "a.parquet", rows)
    (tmp_path / "held.parquet").hardlink_to(tmp_path / "a.parquet")
    write_shard(tmp_path / "a.parquet", rows[:1])
    assert list(read_rows(tmp_path / "a.parquet")) == rows[:1]
    assert list(read_rows(tmp_path / "held.parquet")) == rows


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_never_changes_what_is_read(tmp_path, rows, position, bit):
    path = tmp_path / "a.parquet"
    write_shard(path, rows)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= 1 << bit
    path.write_bytes(content)
    read = rows_or_message(path)
    assert read == rows or (isinstance(read, str) and read.startswith(f"{path}: "))


def rows_or_message(path):
    try:
        return list(read_rows(path))
    except ValueError as error:
        return str(error)


def test_a_flipped_bit_in_a_photo_is_noticed(tmp_path, rows):
    path = tmp_path / "a.parquet"
    write_shard(path, rows)
    content = path.read_bytes()
    middle = content.index(rows[0]["image"]) + len(rows[0]["image"]) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    with pytest.raises(ValueError, match=r"a\.parquet: is truncated or corrupt .*; write the shards again"):
        list(read_rows(path))


def test_a_truncated_shard_is_refused(tmp_path, rows):
    path = tmp_path / "a.parquet"
    write_shard(path, rows)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"a\.parquet: is truncated or corrupt"):
        list(read_rows(path))


def test_a_missing_shard_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.parquet: no such shard; write the shards again"):
        list(read_rows(tmp_path / "a.parquet"))


@pytest.mark.parametrize(("metadata", "found"), [({VERSION_KEY: "0"}, "'0'"), (None, "'none'")])
def test_another_schema_version_is_refused(tmp_path, rows, metadata, found):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARD_SCHEMA).replace_schema_metadata(metadata), path)
    with pytest.raises(ValueError, match=rf"a\.parquet: has shard version {found}, this code reads '2'"):
        list(read_rows(path))


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({VERSION_KEY: "2"}), path)
    with pytest.raises(ValueError, match=r"has columns \['x'\], not those of a shard"):
        list(read_rows(path))


def test_a_label_without_a_segment_is_refused(make_sample, jpeg_of):
    sample = make_sample([[0, 2]], [(0, False), (1, False)])
    short = dataclasses.replace(sample, segments=sample.segments[:1])
    with pytest.raises(ValueError, match=r"000000000001\.jpg: label 2 but 1 segments"):
        encode_row(jpeg_of(sample.image), short)
    row = encode_row(jpeg_of(sample.image), sample)
    with pytest.raises(ValueError, match=r"\(image id 1\): label 2 but 1 segments; write the shards again"):
        decode_row(row | {"segments": row["segments"][:1]})


def test_a_row_whose_parts_differ_in_size_is_refused(rows):
    with pytest.raises(ValueError, match=r"\(image id 11\): label map is truncated or corrupt"):
        decode_row(rows[0] | {"width": 4})
    with pytest.raises(ValueError, match="photo is 2 x 1, label map 3 x 2"):
        decode_row(rows[0] | {"image": rows[1]["image"]})


def test_a_row_with_a_damaged_photo_or_label_map_is_refused_by_name(rows):
    for damage in ({"image": rows[0]["image"][:40]}, {"label_maps": [rows[0]["label_maps"][0][:-2]]}):
        with pytest.raises(
            ValueError, match=r"000000000011\.jpg \(image id 11\): (label map )?is truncated or corrupt"
        ):
            decode_row(rows[0] | damage)


def test_a_row_without_a_label_map_is_refused(rows):
    with pytest.raises(ValueError, match=r"\(image id 11\): has no label map; write the shards again"):
        decode_row(rows[0] | {"label_maps": []})


def test_layers_of_overlapping_segments_keep_their_order(make_sample, jpeg_of):
    sample = make_sample([[[1, 1, 0]], [[0, 2, 2]]], [(5, False), (7, False)])
    row = pa.Table.from_pylist([encode_row(jpeg_of(sample.image), sample, 2)], schema=SHARD_SCHEMA).to_pylist()[0]
    np.testing.assert_array_equal(decode_row(row).label_maps, [[[1, 1, 0]], [[0, 2, 2]]])
    assert row["hidden_px"] == 2


def test_a_row_above_the_size_limit_is_refused(rows):
    with pytest.raises(ValueError, match="3 x 2 pixels, more than the limit of 5"):
        decode_row(rows[0], max_pixels=5)
