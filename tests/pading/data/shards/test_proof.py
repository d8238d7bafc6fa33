import dataclasses
import hashlib

import pytest
from pyarrow.fs import LocalFileSystem

from pading.data.coco.source import choose, read
from pading.data.shards.proof import audit_file, check_audit, check_files, check_listing, leak_audit
from pading.data.shards.rows import encode_row, write_shard
from pading.data.shards.shares import index_of, plan_shares, write_share

LOCAL = LocalFileSystem()


@pytest.fixture
def written(folder, split, tmp_path):
    """The tiny folder's validation images and three more, in several files; and their index."""
    records = [r for part in ("train", "val") for r in read(folder.root, split, part) if r.image_id in (1, 4)]
    assert [choose(record, split, "train") for record in records] == ["kept", "kept"]
    place = tmp_path / "shards"
    place.mkdir()
    shares = plan_shares(records, records[0].image_path.stat().st_size)
    index = index_of([write_share(s, split, "train", place, skip_bad=False) for s in shares], split, "train", {})
    assert len(index.files) == 2
    return place, index


@pytest.fixture
def proven(written, split):
    place, index = written
    tallies = [audit_file(LOCAL, str(place), file, split.classes) for file in index.files]
    return place, index, leak_audit(index, tallies, split)


def check_folder(place, index):
    check_listing(index, LOCAL, str(place))
    check_files(index.files, LOCAL, str(place))


def test_an_audit_of_what_was_written_agrees_and_names_the_bytes(proven, split):
    """cat | sky and cat | void on 6 x 8 pixels."""
    place, index, audit = proven
    assert audit.files == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in place.iterdir()}
    assert audit.tally.class_pixels == index.class_pixels == (48, 0, 24)
    assert (audit.split, audit.unseen) == ("toy", ("dog",))
    check_audit(audit, index, split, "a.json")
    check_folder(place, index)


def test_an_audit_of_other_shards_is_refused(proven, split):
    _, index, audit = proven
    for other in (
        dataclasses.replace(index, files=index.files[:1]),
        dataclasses.replace(index, files=index.files[::-1]),
    ):
        with pytest.raises(ValueError, match=r"^a\.json: is the audit of (other shards|another index).*; write the sh"):
            check_audit(audit, other, split, "a.json")


@pytest.mark.parametrize("field", ["class_pixels", "class_segments"])
def test_an_index_edited_after_the_audit_is_refused(proven, split, field):
    _, index, audit = proven
    edited = dataclasses.replace(index, **{field: (1, 0, 1)})
    with pytest.raises(ValueError, match=r"a\.json: is the audit of another index: index\.json was changed after it"):
        check_audit(audit, edited, split, "a.json")


def test_an_audit_edited_to_other_counts_is_refused(proven, split):
    _, index, audit = proven
    edited = dataclasses.replace(audit, tally=dataclasses.replace(audit.tally, class_pixels=(48, 0, 23)))
    with pytest.raises(ValueError, match="counts of 2 images differ from those of the 2 recounted"):
        check_audit(edited, index, split, "a.json")


def test_an_audit_of_another_split_or_unseen_list_or_version_is_refused(proven, split):
    _, index, audit = proven
    classes = dataclasses.replace(split.classes, is_seen=(True, True, False))
    for other in (dataclasses.replace(split, name="other"), dataclasses.replace(split, classes=classes)):
        with pytest.raises(ValueError, match=r"a\.json: is of split 'toy' with 1 unseen classes, not of '.*' as it is"):
            check_audit(audit, index, other, "a.json")
    with pytest.raises(ValueError, match=r"a\.json: has version '1', this code reads '2'"):
        check_audit(dataclasses.replace(audit, schema_version="1"), index, split, "a.json")


def test_a_leaking_audit_is_refused(written, split):
    """The same shards under a table in which sky is unseen."""
    place, index = written
    classes = dataclasses.replace(split.classes, is_seen=(True, False, False))
    strict = dataclasses.replace(split, classes=classes)
    audit = leak_audit(index, [audit_file(LOCAL, str(place), file, classes) for file in index.files], strict)
    with pytest.raises(
        ValueError, match=r"1 of 2 training images hold unseen classes \(24 pixels, 1 segments\): .* 1;"
    ):
        check_audit(audit, index, strict, "a.json")


def test_tallies_that_are_not_what_was_written_are_refused(written, split):
    place, index = written
    tally = audit_file(LOCAL, str(place), index.files[0], split.classes)
    with pytest.raises(ValueError, match="counts of 2 images differ from those of the 1 recounted"):
        leak_audit(index, [tally], split)


def flip(place, index):
    path = place / index.files[1].name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return ValueError, rf"{path.name}: was changed after it was written: sha256 .*; fetch that file again or"


def truncate(place, index):
    path = place / index.files[0].name
    path.write_bytes(path.read_bytes()[:-1])
    size = index.files[0].num_bytes
    return ValueError, rf"{path.name}: has {size - 1} bytes, but {size} in index\.json"


def remove(place, index):
    (place / index.files[0].name).unlink()
    return FileNotFoundError, rf"{index.files[0].name}: no such shard, but index\.json lists it"


def add(place, index):
    (place / "part-00009-00000000.parquet").write_bytes(b"")
    return ValueError, r"part-00009-00000000\.parquet: is not in index\.json; remove it or write the shards again"


@pytest.mark.parametrize("damage", [flip, truncate, remove, add])
def test_files_that_are_not_those_of_the_index_are_refused(written, damage):
    place, index = written
    error, message = damage(place, index)
    with pytest.raises(error, match=message):
        check_folder(place, index)


def test_other_files_beside_the_shards_do_not_matter(written):
    place, index = written
    (place / "index.json").write_text("{}")
    (place / ".part-00000.parquet.1234.partial").write_bytes(b"")
    check_folder(place, index)


def test_a_file_is_hashed_before_it_is_counted(written, split, make_sample, jpeg_of):
    """A sound shard of other images in the place of a listed one."""
    place, index = written
    sample = make_sample([[1]], [(0, False)])
    write_shard(place / index.files[0].name, [encode_row(jpeg_of(sample.image), sample)])
    with pytest.raises(ValueError, match=r"bytes, but .* in index\.json"):
        audit_file(LOCAL, str(place), index.files[0], split.classes)
