import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from pading.data.shards.rows import encode_row
from pading.data.shards.webdataset import write_tars


@pytest.fixture
def rows(make_sample, jpeg_of):
    samples = [
        make_sample([[0, 1, 1], [2, 2, 0]], [(0, False), (2, True)], image_id=11),
        make_sample([[[1, 1, 0]], [[0, 2, 2]]], [(1, False), (2, False)], image_id=12),
        make_sample([[0, 0]], [], image_id=13),
    ]
    return [encode_row(jpeg_of(sample.image), sample, hidden_px=1) for sample in samples]


def read_back(paths):
    """The plain way: every member of every tar, by name."""
    found = {}
    for path in paths:
        with tarfile.open(path) as tar:
            for member in tar:
                assert member.name not in found
                found[member.name] = tar.extractfile(member).read()
    return found


def test_samples_read_back_with_plain_tools(tmp_path, rows, classes):
    (written,) = write_tars(rows, tmp_path, "val", classes, 10**6)
    assert written == (tmp_path / "val-00000.tar", 3)
    found = read_back([written[0]])
    assert list(found)[:3] == ["000000000011.jpg", "000000000011.0.png", "000000000011.json"]
    assert [name for name in found if name.startswith("000000000012")] == [
        "000000000012.jpg",
        "000000000012.0.png",
        "000000000012.1.png",
        "000000000012.json",
    ]
    assert found["000000000011.jpg"] == rows[0]["image"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(found["000000000012.1.png"]))), [[0, 2, 2]])
    described = json.loads(found["000000000011.json"])
    assert described["segments"][1] == rows[0]["segments"][1] | {"class_name": "sky", "coco_id": 187}
    assert (described["image_id"], described["height"], described["width"], described["hidden_px"]) == (11, 2, 3, 1)


def test_tars_end_near_their_size_and_lose_nothing(tmp_path, rows, classes):
    many = [rows[0] | {"image_id": number} for number in range(20)]
    written = list(write_tars(iter(many), tmp_path, "train", classes, 20_000))
    assert len(written) > 2
    assert [path.name for path, _ in written] == [f"train-{number:05d}.tar" for number in range(len(written))]
    assert sum(num_samples for _, num_samples in written) == 20
    assert len(read_back(path for path, _ in written)) == 3 * 20
    assert all(path.stat().st_size < 20_000 + 2 * tarfile.RECORDSIZE for path, _ in written)


def test_a_tar_is_whole_when_it_is_yielded_and_rows_are_taken_as_needed(tmp_path, rows, classes):
    taken = []

    def source():
        for row in rows:
            taken.append(row["image_id"])
            yield row

    first, num_samples = next(write_tars(source(), tmp_path, "train", classes, 1))
    assert (num_samples, len(read_back([first])), taken) == (1, 3, [11, 12])


def test_equal_rows_make_equal_tars_without_time_or_owner(tmp_path, rows, classes):
    for name in ("a", "b"):
        list(write_tars(rows, tmp_path, name, classes, 10**6))
    assert (tmp_path / "a-00000.tar").read_bytes() == (tmp_path / "b-00000.tar").read_bytes()
    with tarfile.open(tmp_path / "a-00000.tar") as tar:
        for member in tar:
            assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)


def test_no_rows_make_no_tar(tmp_path, classes):
    assert list(write_tars([], tmp_path, "train", classes, 1)) == []
    assert list(tmp_path.iterdir()) == []


def test_tars_of_no_size_are_refused(tmp_path, rows, classes):
    with pytest.raises(ValueError, match="tar files of 0 bytes cannot be written; give a positive size"):
        next(write_tars(rows, tmp_path, "train", classes, 0))
