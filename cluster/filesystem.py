"""Where files lie beyond this machine's own folders: a path, file://, s3:// or any protocol that fsspec knows.

A location is text and travels between processes; a file system is opened from it where it is needed.
"""

import posixpath
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType, FSSpecHandler, LocalFileSystem, PyFileSystem

COPY_BYTES = 4 * 2**20
TEMPORARY = ".partial"
SECRET = re.compile(r"://[^/@?]*:[^/@?]*@")
WHOLE_WHEN_CLOSED = ("s3", "gcs", "abfs")  # object stores: an object appears when its upload is complete


def open_location(location: str | Path) -> tuple[FileSystem, str]:
    """Return the file system of a location and the path in it.

    Raises:
        ValueError: if the protocol is unknown, lacks its package, or does not answer, or the location holds a password.
    """
    text = str(location)
    if not _is_url(text):
        return LocalFileSystem(), str(Path(text).absolute())
    if secret := SECRET.search(text):
        shown = text.replace(secret[0], "://...@")
        remedy = "give them by the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise ValueError(f"{shown}: credentials in a location would end in files and logs; {remedy}")
    try:
        return FileSystem.from_uri(text)
    except pa.ArrowInvalid as refused:
        if "Unrecognized filesystem type" not in str(refused):
            raise ValueError(f"{text}: {refused}; give a path, file:///FOLDER or s3://BUCKET/FOLDER") from refused
    except (OSError, ImportError) as error:
        raise ValueError(f"{text}: {error}; check the name, the network and the credentials") from error
    return _open_by_fsspec(text)


def absolute_location(location: str | Path) -> str:
    """Return a location that means the same in every process: a plain path gets its working directory."""
    text = str(location)
    return text if _is_url(text) else str(Path(text).absolute())


def location_inside(location: str, name: str) -> str:
    """Return the location of a folder or file inside a location; the options after "?" stay."""
    if not _is_url(location):
        return str(Path(location) / name)
    address, mark, options = location.partition("?")
    return f"{address.rstrip('/')}/{name}{mark}{options}"


def read_file(location: str) -> bytes:
    """Return the content of a small file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the location cannot be opened.
    """
    filesystem, path = open_location(location)
    with filesystem.open_input_stream(path) as source:
        content: bytes = source.read()
    return content


def write_file(content: bytes, location: str) -> None:
    """Write a small file, whole or not at all."""
    with scratch_folder() as scratch:
        (scratch / "content").write_bytes(content)
        publish(scratch / "content", location)


def publish(file: Path, location: str) -> None:
    """Copy a finished file of this machine to a location, where it appears whole or not at all.

    It goes under a temporary name first and is then renamed; object stores show an upload only once it is complete.

    Raises:
        OSError: if the location cannot be written to.
        ValueError: if it cannot be opened.
    """
    filesystem, path = open_location(location)
    is_atomic = filesystem.type_name in WHOLE_WHEN_CLOSED
    folder, name = posixpath.split(path)
    upload = path if is_atomic else posixpath.join(folder, f".{name}.{secrets.token_hex(4)}{TEMPORARY}")
    with file.open("rb") as source:
        try:
            if not is_atomic:
                filesystem.create_dir(folder, recursive=True)
            try:
                with filesystem.open_output_stream(upload) as target:
                    shutil.copyfileobj(source, target, COPY_BYTES)
                if not is_atomic:
                    filesystem.move(upload, path)
            except BaseException:
                if filesystem.get_file_info(upload).type == FileType.File:
                    filesystem.delete_file(upload)
                raise
        except OSError as error:
            remedy = "check that the folder or bucket exists, has room and may be written to"
            raise OSError(f"{location}: cannot be written ({error}); {remedy}") from error


def is_temporary(name: str) -> bool:
    """Return whether a file name is one that a broken upload leaves behind."""
    return name.startswith(".") and name.endswith(TEMPORARY)


def file_sizes(location: str) -> dict[str, int]:
    """Return name and size of each file in a folder, sorted by name; empty where there is no folder."""
    filesystem, path = open_location(location)
    found = filesystem.get_file_info(FileSelector(path, allow_not_found=True))
    return {entry.base_name: entry.size for entry in sorted(found, key=lambda f: f.path) if entry.type == FileType.File}


def delete_file(location: str) -> None:
    """Delete a file that is there."""
    filesystem, path = open_location(location)
    filesystem.delete_file(path)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder of this machine that vanishes afterwards."""
    with tempfile.TemporaryDirectory(prefix="pading-") as folder:
        yield Path(folder)


def _is_url(text: str) -> bool:
    return "://" in text


def _open_by_fsspec(text: str) -> tuple[FileSystem, str]:
    protocol = text.split("::")[0].split("://")[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(text)
    except ImportError as error:
        raise ValueError(f"{text}: {error}; install the package of protocol {protocol!r}") from error
    except ValueError as error:
        raise ValueError(f"{text}: {error}; give a path, file://, s3:// or a protocol of fsspec") from error
    except OSError as error:
        raise ValueError(f"{text}: {error}; check the name, the network and the credentials") from error
    return PyFileSystem(FSSpecHandler(filesystem)), path
