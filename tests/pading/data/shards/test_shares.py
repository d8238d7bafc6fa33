import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pading.data.coco.record import ImageRecord
from pading.data.coco.source import choose, load, read
from pading.data.shards.rows import read_rows
from pading.data.shards.shares import Share, WrittenShare, index_of, plan_shares, write_share


@pytest.fixture
def records_of(tmp_path):
    """Sizes in bytes -> records of photos of these sizes; None is a photo that is missing."""

    def make(sizes):
        records = []
        for image_id, size in enumerate(sizes):
            path = tmp_path / f"{image_id}.jpg"
            if size is not None:
                path.write_bytes(bytes(size))
            records.append(
                ImageRecord(image_id=image_id, file_name=path.name, image_path=path, annotation_path=tmp_path)
            )
        return records

    return make


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 500) | st.none(), min_size=1, max_size=30), target=st.integers(1, 900))
def test_shares_hold_every_record_once_in_order_and_near_the_target(records_of, sizes, target):
    records = records_of(sizes)
    shares = plan_shares(records, target)
    assert [record for share in shares for record in share.records] == records
    assert [share.number for share in shares] == list(range(len(shares)))
    largest = max(size or 0 for size in sizes)
    for share in shares:
        assert share.records
        assert sum(sizes[record.image_id] or 0 for record in share.records) < target + largest + 1


def test_shares_are_of_equal_size(records_of):
    """100 photos of 10 bytes in files of at most 300: four of 25, not three of 30 and one of 10."""
    assert [len(share.records) for share in plan_shares(records_of([10] * 100), 300)] == [25] * 4


def test_a_share_is_known_by_its_photos(records_of):
    records = records_of([10, 20, None])
    (share,) = plan_shares(records, 1000)
    assert plan_shares(records, 1000) == [share]
    records[1].image_path.write_bytes(bytes(21))
    assert plan_shares(records, 1000)[0].digest != share.digest
    assert plan_shares(records[:2], 1000)[0].digest != share.digest


@pytest.mark.parametrize("target", [0, -1.0])
def test_shards_of_no_size_are_refused(records_of, target):
    with pytest.raises(ValueError, match=r"shards of .* bytes cannot be written; give a positive size"):
        plan_shares(records_of([1]), target)


@pytest.fixture
def share(folder, split):
    records = read(folder.root, split, "train")
    (share,) = plan_shares([record for record in records if choose(record, split, "train") == "kept"], 1e6)
    return share


def test_a_share_becomes_a_file_named_by_its_content(share, split, folder, tmp_path):
    """Train of the tiny folder keeps image 1, cat | sky on 6 x 8 pixels."""
    written = write_share(share, split, "train", tmp_path, skip_bad=False)
    path = tmp_path / written.file.name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert written.file.name == f"part-00000-{digest[:8]}.parquet"
    assert (written.file.sha256, written.file.num_bytes) == (digest, path.stat().st_size)
    assert written.file.rows_per_group == (1,)
    assert (written.class_segments, written.class_pixels) == ((1, 0, 1), (24, 0, 24))
    (row,) = read_rows(path)
    assert row["image"] == folder.photo(1).read_bytes()
    assert WrittenShare.from_json(written.to_json()) == written
    assert sorted(p.name for p in tmp_path.iterdir()) == ["coco", written.file.name]


def test_a_share_is_written_to_the_same_bytes_again(share, split, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert write_share(share, split, "train", tmp_path / "a", skip_bad=False) == write_share(
        share, split, "train", tmp_path / "b", skip_bad=True
    )


def test_a_bad_image_stops_the_share_and_leaves_nothing(share, split, folder, tmp_path):
    folder.photo(1).write_bytes(folder.photo(1).read_bytes()[:100])
    with pytest.raises(ValueError, match=r"000000000001\.jpg: is truncated or corrupt"):
        write_share(share, split, "train", tmp_path, skip_bad=False)
    folder.photo(1).unlink()
    with pytest.raises(FileNotFoundError, match=r"000000000001\.jpg: is missing"):
        write_share(share, split, "train", tmp_path, skip_bad=False)
    assert [path.name for path in tmp_path.iterdir()] == ["coco"]


def test_bad_images_are_set_aside_when_they_may(split, folder, tmp_path):
    """Of val's two images one is truncated: the other is written, the bad one is named with the remedy."""
    ids = np.full((6, 8), 3)
    folder.write("val2017", {8: (ids, {3: (17, False)}), 9: (ids, {3: (187, False)})})
    folder.photo(8, "val2017").write_bytes(b"no photo")
    (share,) = plan_shares(read(folder.root, split, "val"), 1e6)
    written = write_share(share, split, "val", tmp_path, skip_bad=True)
    (bad,) = written.quarantined
    assert (bad.image_id, bad.file, bad.remedy) == (8, str(folder.photo(8, "val2017")), "download it again")
    assert [row["image_id"] for row in read_rows(tmp_path / written.file.name)] == [9]
    assert (written.class_segments, written.class_pixels) == ((0, 0, 1), (0, 0, 48))
    index = index_of([written], split, "val", {"unseen": 2}, quarantined=3)
    assert index.counts == {"found": 1 + 2 + 4, "kept": 1, "unseen": 2, "quarantined": 4}
    assert list(index.files) == [written.file]


def test_a_share_of_bad_images_has_no_file(share, split, folder, tmp_path):
    folder.label(1).unlink()
    written = write_share(share, split, "train", tmp_path, skip_bad=True)
    assert (written.file, written.class_pixels, len(written.quarantined)) == (None, (0, 0, 0), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["coco"]
    assert index_of([written], split, "train", {}).num_images == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"file": {}}', '{"file": null, "digest": "a", "quarantined": [{}]}'])
def test_a_damaged_entry_is_refused(text):
    with pytest.raises(ValueError, match="not the entry of a written share"):
        WrittenShare.from_json(text)


def test_real_photos_keep_their_bytes_and_order(real_data, tmp_path):
    from pading.splits.published import find_split

    split = find_split("coco-panoptic-119-14")
    records = [r for r in read(real_data / "coco_mini", split, "val") if choose(r, split, "val") == "kept"][:20]
    shares = plan_shares(records, 1_000_000)
    assert len(shares) > 1
    written = [write_share(share, split, "val", tmp_path, skip_bad=False) for share in shares]
    index = index_of(written, split, "val", {})
    assert index_of(iter(written), split, "val", {}) == index
    rows = [row for file in index.files for row in read_rows(tmp_path / file.name)]
    assert [row["image_id"] for row in rows] == [record.image_id for record in records]
    assert all(row["image"] == r.image_path.read_bytes() for row, r in zip(rows, records, strict=True))
    samples = [load(record, split, "val").sample for record in records]
    assert sum(index.class_pixels) == sum(int((sample.label_map > 0).sum()) for sample in samples)
    assert sum(index.class_segments) == sum(len(sample.segments) for sample in samples)


def test_a_share_travels_whole(share):
    import pickle

    assert pickle.loads(pickle.dumps(share)) == dataclasses.replace(share) == Share(**vars(share))
