import pytest

from pading.data.checks.duplicates import TAIL_BYTES, Photo, shared_findings


def lay(folder, contents, first_id=1):
    """Write files 0.jpg, 1.jpg, ... and return them as photos; None leaves a file out."""
    folder.mkdir(exist_ok=True)
    photos = []
    for index, content in enumerate(contents):
        path = folder / f"{folder.name}{index}.jpg"
        if content is not None:
            path.write_bytes(content)
        photos.append(Photo(image_id=first_id + index, file_name=path.name, path=path))
    return photos


def parts(tmp_path, train, val):
    return lay(tmp_path / "train", train), lay(tmp_path / "val", val, first_id=1000)


def test_a_photo_of_both_parts_is_found_whatever_its_name(tmp_path):
    train, val = parts(tmp_path, [b"a" * 500, b"b" * 500], [b"c" * 500, b"b" * 500])
    [finding] = shared_findings(train, val)
    assert finding.line == (
        f"error: {val[1].path}: is the same photo as {train[1].path}, which is trained on; "
        "remove it from one of the two: test images must be new"
    )
    assert not finding.is_skippable


def test_equal_sizes_and_equal_ends_do_not_make_equal_photos(tmp_path):
    end = b"e" * TAIL_BYTES
    train, val = parts(tmp_path, [b"a" + end, b"bb" + end], [b"c" + end, b"dd" + end, b"fff" + end])
    assert shared_findings(train, val) == []


def test_every_copy_in_val_is_named_with_the_first_in_train(tmp_path):
    train, val = parts(tmp_path, [b"same", b"same", b"other"], [b"same", b"new", b"same"])
    found = shared_findings(train, val)
    assert [finding.file for finding in found] == [str(val[0].path), str(val[2].path)]
    assert all(str(train[0].path) in finding.what for finding in found)


@pytest.mark.parametrize("content", [b"", b"x", b"y" * TAIL_BYTES], ids=["empty", "one byte", "a tail"])
def test_files_shorter_than_the_tail_are_compared_too(tmp_path, content):
    train, val = parts(tmp_path, [content], [content, content + b"z"])
    assert [finding.file for finding in shared_findings(train, val)] == [str(val[0].path)]


def test_a_part_that_is_its_own_twin_is_found(tmp_path):
    train = lay(tmp_path / "train", [b"a", b"b"])
    assert len(shared_findings(train, train)) == 2


def test_missing_files_are_no_twins(tmp_path):
    train, val = parts(tmp_path, [None, b"a"], [None, b"b"])
    assert shared_findings(train, val) == []


def test_ids_and_names_in_both_parts_are_one_warning_each(tmp_path):
    train = lay(tmp_path / "train", [b"%d" % index for index in range(5)])
    val = [
        Photo(image_id=photo.image_id, file_name=photo.file_name, path=path.path)
        for photo, path in zip(train, lay(tmp_path / "val", [b"%d" % index for index in range(5, 10)]), strict=True)
    ]
    ids, names = shared_findings(train, val)
    assert (ids.severity, names.severity) == ("warning", "warning")
    assert ids.what == "5 image ids are those of training images too (1, 2, 3, ...)"
    assert names.what == "5 file names are those of training images too (train0.jpg, train1.jpg, train2.jpg, ...)"


def test_few_files_are_opened(tmp_path, monkeypatch):
    """Of files that no other part matches in size nothing is read; of the others, little."""
    train, val = parts(tmp_path, [bytes(length) for length in range(1, 60)], [bytes(30) + b"!", bytes(500)])
    opened = []
    original = type(tmp_path).open
    monkeypatch.setattr(type(tmp_path), "open", lambda path, *rest: opened.append(path) or original(path, *rest))
    assert shared_findings(train, val) == []
    assert sorted(opened) == sorted([train[30].path, val[0].path])
