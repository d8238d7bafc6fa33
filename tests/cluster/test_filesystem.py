import subprocess
import sys
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem

from cluster.filesystem import (
    absolute_location,
    delete_file,
    file_sizes,
    is_temporary,
    location_inside,
    open_location,
    publish,
    read_file,
    write_file,
)

SHARED = ["{tmp}/shards", "file://{tmp}/shards", "local://{tmp}/shards", "fsspec+file://{tmp}/shards"]


@pytest.fixture(params=[*SHARED, "memory://{tmp}/shards"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder by each of the ways that a file system is found."""
    return str(request.param).format(tmp=tmp_path)


def test_what_is_written_is_read_listed_and_deleted(location: str) -> None:
    inside = location_inside(location, "train")
    assert file_sizes(inside) == {}
    write_file(b"second", location_inside(inside, "b.json"))
    write_file(b"first", location_inside(inside, "a.json"))
    assert file_sizes(inside) == {"a.json": 5, "b.json": 6}
    assert read_file(location_inside(inside, "b.json")) == b"second"
    delete_file(location_inside(inside, "a.json"))
    assert file_sizes(inside) == {"b.json": 6}


def test_a_file_is_replaced_whole(location: str) -> None:
    place = location_inside(location, "a.json")
    write_file(b"a longer first content", place)
    write_file(b"new", place)
    assert (read_file(place), list(file_sizes(location))) == (b"new", ["a.json"])


@pytest.mark.parametrize("shared", SHARED)
def test_another_process_finds_it(shared: str, tmp_path: Path) -> None:
    location = shared.format(tmp=tmp_path)
    write_file(b"content", location_inside(location, "a.json"))
    script = "import sys; from cluster.filesystem import read_file; print(read_file(sys.argv[1]))"
    arguments = [sys.executable, "-c", script, location_inside(location, "a.json")]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2])
    assert done.stdout == "b'content'\n", done.stderr


@pytest.mark.parametrize("local", SHARED[:3])
def test_a_failed_rename_leaves_nothing(local: str, tmp_path: Path) -> None:
    target = location_inside(local.format(tmp=tmp_path), "folder")
    write_file(b"", location_inside(target, "in_the_way"))  # a file cannot take the name of a folder that holds one
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(OSError, match=r"shards/folder: cannot be written \(.*irectory.*\); check that the folder or"):
        publish(tmp_path / "file", target)
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["folder"]


def test_a_missing_source_leaves_nothing(location: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "none", location_inside(location, "a"))
    assert file_sizes(location) == {}


def test_a_missing_file_is_missing(location: str) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(location_inside(location, "none.json"))


@pytest.mark.parametrize(
    ("location", "inside"),
    [
        ("/data/shards", "/data/shards/train"),
        ("s3://bucket", "s3://bucket/train"),
        ("s3://bucket/a/", "s3://bucket/a/train"),
        ("s3://bucket/a?endpoint_override=http://host:9000", "s3://bucket/a/train?endpoint_override=http://host:9000"),
        ("file:///data/a%20b", "file:///data/a%20b/train"),
    ],
)
def test_a_folder_inside_keeps_the_options(location: str, inside: str) -> None:
    assert location_inside(location, "train") == inside


def test_a_plain_path_is_made_absolute_and_a_url_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_location("shards") == str(tmp_path / "shards")
    assert absolute_location("s3://bucket/shards") == "s3://bucket/shards"
    filesystem, path = open_location("shards")
    assert isinstance(filesystem, LocalFileSystem)
    assert path == str(tmp_path / "shards")


def test_a_bucket_is_opened_by_arrow() -> None:
    filesystem, path = open_location("s3://bucket/shards?endpoint_override=http://localhost:1&region=us-east-1")
    assert (filesystem.type_name, path) == ("s3", "bucket/shards")


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (
            "nope://folder",
            r"^nope://folder: Protocol not known: nope; give a path, file://, s3:// or a protocol of fsspec$",
        ),
        ("sftp://host/folder", r"^sftp://host/folder: .*paramiko.*; install the package of protocol 'sftp'$"),
        ("file://relative/folder", r"^file://relative/folder: .*; give a path, file:///FOLDER or s3://BUCKET/FOLDER$"),
    ],
)
def test_a_location_that_cannot_be_opened_is_named_with_a_remedy(location: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_location(location)


@pytest.mark.parametrize(
    "location", ["s3://key:word@bucket/a", "sftp://name:word@host/a", "s3://:word@bucket?region=x"]
)
def test_a_password_in_a_location_is_refused_and_not_repeated(location: str) -> None:
    with pytest.raises(
        ValueError, match=r"://\.\.\.@.*: credentials in a location would end in files and logs"
    ) as caught:
        open_location(location)
    assert "word@" not in str(caught.value)


def test_names_of_broken_uploads_are_known(tmp_path: Path) -> None:
    assert is_temporary(".part-00000-01234567.parquet.ab12cd34.partial")
    assert not is_temporary("part-00000-01234567.parquet")
    assert not is_temporary("index.json.partial")
