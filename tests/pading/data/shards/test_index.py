import dataclasses
import hashlib
import json

import pytest

from pading.data.shards.index import ShardFile, ShardIndex, content_name


@pytest.fixture
def index():
    files = tuple(
        ShardFile(
            name=content_name(number, digest),
            sha256=digest,
            num_bytes=100 + number,
            rows_per_group=(16, 16, 3)[number:],
        )
        for number, digest in enumerate(["a" * 64, "b" * 64])
    )
    return ShardIndex(
        schema_version="2",
        split="toy",
        part="train",
        classes="c" * 64,
        files=files,
        counts={"found": 60, "kept": 54, "unseen": 5, "quarantined": 1},
        class_segments=(3, 0, 2),
        class_pixels=(30, 0, 20),
    )


def test_an_index_adds_up_its_files(index):
    """35 rows and, without the first group, 19."""
    assert (index.num_images, index.num_bytes) == (54, 201)


def test_names_show_place_and_content():
    assert content_name(12, "0123456789abcdef" * 4) == "part-00012-01234567.parquet"


def test_an_index_reads_back_as_written(index):
    assert ShardIndex.from_json(index.to_json(), "index.json") == index


def test_the_digest_is_of_the_files_content_in_order(index):
    assert index.digest == hashlib.sha256(b"a" * 64 + b"b" * 64).hexdigest()
    swapped = dataclasses.replace(index, files=index.files[::-1])
    renamed = dataclasses.replace(
        index, split="other", files=tuple(dataclasses.replace(f, name="x") for f in index.files)
    )
    assert swapped.digest != index.digest == renamed.digest


def change(index, path, value):
    plain = json.loads(index.to_json())
    *way, last = path
    place = plain
    for key in way:
        place = place[key]
    place[last] = value
    return json.dumps(plain)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["files"], None),
        (["files", 0], "part"),
        (["files", 0, "sha256"], "short"),
        (["files", 0, "sha256"], 5),
        (["files", 0, "num_bytes"], 0),
        (["files", 0, "num_bytes"], "many"),
        (["files", 0, "rows_per_group"], [1, None]),
        (["files", 0, "name"], "../part-00000.parquet"),
        (["files", 0, "name"], "a\\b"),
        (["files", 0, "size"], 3),
        (["counts"], []),
        (["class_pixels"], 4),
        (["more"], 4),
    ],
)
def test_what_is_no_index_is_refused_by_name(index, path, value):
    with pytest.raises(ValueError, match=r"^x/index\.json: is not an index of shards .*; write the shards again$"):
        ShardIndex.from_json(change(index, path, value), "x/index.json")


@pytest.mark.parametrize("text", ["", "3", "[]", "{}", "{"])
def test_other_text_is_refused_by_name(text):
    with pytest.raises(ValueError, match=r"^x/index\.json: is not an index of shards"):
        ShardIndex.from_json(text, "x/index.json")


def test_an_index_whose_counts_differ_from_its_files_is_refused(index):
    with pytest.raises(ValueError, match=r"index\.json: counts 53 images kept, but its files hold 54"):
        ShardIndex.from_json(change(index, ["counts", "kept"], 53), "index.json")


@pytest.mark.parametrize("num_files", [0, 1, 2])
def test_an_index_is_written_file_by_file_as_if_it_were_written_at_once(index, num_files):
    index = dataclasses.replace(index, files=index.files[:num_files])
    assert index.to_json() == json.dumps(dataclasses.asdict(index), indent=1, sort_keys=True) + "\n"
