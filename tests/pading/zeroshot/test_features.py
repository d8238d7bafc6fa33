import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pading.zeroshot.features import Features, concatenate, read_features, require_only, split_by_image, write_features
from tests.references.zeroshot_world import world_of_combinations


def some(rows=6, width=3, first_image=2**40):
    return Features(
        torch.randn(rows, width, generator=torch.Generator().manual_seed(rows)),
        torch.arange(rows) % 4,
        first_image + torch.arange(rows) // 2,
    )


def columns(features):
    return features.embeddings, features.labels, features.image_ids


def assert_equal(first, second):
    for left, right in zip(columns(first), columns(second), strict=True):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)


def test_parts_read_back_in_the_order_given(tmp_path):
    parts = [some(6), some(0), some(4, first_image=7)]
    paths = [tmp_path / f"part-{i}.parquet" for i in range(3)]
    for path, part in zip(paths, parts, strict=True):
        write_features(path, part)
    assert_equal(read_features(paths), concatenate(parts))
    assert_equal(read_features(paths[::-1]), concatenate(parts[::-1]))
    assert sorted(tmp_path.iterdir()) == paths  # nothing unfinished is left


def test_file_has_the_documented_columns(tmp_path):
    write_features(tmp_path / "part.parquet", some(width=3))
    schema = pq.read_schema(tmp_path / "part.parquet")
    assert [(f.name, f.type) for f in schema][:2] == [("image_id", pa.int64()), ("label", pa.int32())]
    assert schema.field("embedding").type.list_size == 3
    assert schema.field("embedding").type.value_type == pa.float32()


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "part.parquet"
    write_features(path, some())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"part\.parquet is corrupt .*: write the cache again"):
        read_features([path])


@pytest.mark.parametrize("position", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_flipped_byte_is_found(tmp_path, position):
    path = tmp_path / "part.parquet"
    write_features(path, some(500, 16))
    damaged = bytearray(path.read_bytes())
    damaged[int(position * len(damaged))] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(ValueError, match=r"part\.parquet is corrupt"):
        read_features([path])


def test_another_schema_version_or_none_is_named(tmp_path):
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"image_id": [1]}), path)
    with pytest.raises(ValueError, match=r"part\.parquet has schema version none, this code reads 1"):
        read_features([path])


def test_an_absent_file_stays_an_absent_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.parquet"):
        read_features([tmp_path / "absent.parquet"])


def test_a_split_by_image_parts_images_and_loses_no_row():
    features = some(40)
    rest, held_out = split_by_image(features, 0.25, seed=3)
    assert set(rest.image_ids.tolist()).isdisjoint(held_out.image_ids.tolist())
    assert len(held_out.image_ids.unique()) == 5
    assert len(rest) + len(held_out) == 40
    assert_equal(held_out, split_by_image(features, 0.25, seed=3)[1])
    assert not torch.equal(held_out.image_ids, split_by_image(features, 0.25, seed=4)[1].image_ids)


@pytest.mark.parametrize("fraction", [0.0, 1.0, 0.01, -1.0])
def test_a_split_with_an_empty_side_is_refused(fraction):
    with pytest.raises(ValueError, match="both sides need at least one image"):
        split_by_image(some(), fraction, seed=0)


def test_columns_that_do_not_fit_are_refused():
    good = some()
    with pytest.raises(ValueError, match=r"embeddings are torch\.float64"):
        Features(good.embeddings.double(), good.labels, good.image_ids)
    with pytest.raises(ValueError, match=r"labels are torch\.int64 of shape \(5,\): pass one int64 for each of the 6"):
        Features(good.embeddings, good.labels[:5], good.image_ids)
    with pytest.raises(ValueError, match=r"image_ids are torch\.int32"):
        Features(good.embeddings, good.labels, good.image_ids.int())
    with pytest.raises(ValueError, match=r"widths \[3, 4\]"):
        concatenate([some(width=3), some(width=4)])
    with pytest.raises(ValueError, match="0 feature parts"):
        read_features([])


def test_a_label_outside_the_allowed_ones_is_named():
    world = world_of_combinations()
    require_only(world.train, [*world.classes.seen, world.classes.no_object], world.classes)
    with pytest.raises(ValueError, match=r"80 of 360 features may not be fitted on, .* label 4 .'striped star'."):
        require_only(world.test, world.classes.seen, world.classes)
    with pytest.raises(ValueError, match="no class of the table"):
        require_only(world.train, world.classes.seen, world.classes)
