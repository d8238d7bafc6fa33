from pathlib import Path

import pytest

from pading.data.coco.record import ImageRecord, check_size, read_listed


@pytest.fixture
def record(tmp_path):
    return ImageRecord(
        image_id=7, file_name="7.jpg", image_path=tmp_path / "7.jpg", annotation_path=tmp_path / "list.json"
    )


def test_a_listed_file_is_read_as_it_is(record):
    record.image_path.write_bytes(b"\x00\xff")
    assert read_listed(record.image_path, record) == b"\x00\xff"


def test_a_missing_file_is_named_with_where_it_is_listed(record):
    expected = r"7\.jpg: is missing, but .*list\.json lists it for image id 7; download or unpack it again"
    with pytest.raises(FileNotFoundError, match=expected):
        read_listed(record.image_path, record)


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_a_file_that_cannot_be_read_is_named(record, name):
    with pytest.raises(ValueError, match=r"(list\.json|x): cannot be read \((Is a directory|File name too long)\)"):
        read_listed(record.image_path.parent / name if name else _folder(record), record)


def _folder(record):
    record.annotation_path.mkdir()
    return record.annotation_path


def test_sizes_are_compared_as_width_and_height():
    check_size((4, 3), "a.png", (4, 3), Path("a.json"))
    with pytest.raises(ValueError, match=r"^a\.png: is 3 x 4 pixels, but 4 x 3 in a\.json; the two are of different"):
        check_size((3, 4), "a.png", (4, 3), Path("a.json"))
