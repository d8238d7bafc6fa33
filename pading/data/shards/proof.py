"""Whether the shards that lie there are those that the index names, and the audit is of them and clean.

The chain: bytes of the files -> sha256 in the index -> sha256 of the index, and of each file, in the leak audit.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pyarrow.fs import FileSelector, FileSystem, FileType

from pading.classes import ClassTable
from pading.data.errors import DataError, MissingFileError
from pading.data.shards.audit import LABEL_COLUMNS, LeakAudit, LeakTally, audit_row
from pading.data.shards.index import ShardFile, ShardIndex
from pading.data.shards.label_maps import WRITE_AGAIN
from pading.data.shards.rows import SCHEMA_VERSION, read_rows
from pading.splits.split import Split

READ_BYTES = 4 * 2**20
NUM_THREADS = 8  # hashing leaves Python's lock, and waits for discs or the network besides
SHARD_SUFFIX = ".parquet"
FETCH_AGAIN = "fetch that file again or write the shards again"


def audit_file(filesystem: FileSystem, folder: str, file: ShardFile, classes: ClassTable) -> LeakTally:
    """Return the tally of one shard file, every label map decoded, after its bytes are found to be the index's.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged or not the one that the index names.
    """
    _check_file(filesystem, folder, file)
    total = LeakTally.empty(classes)
    for row in read_rows(f"{folder}/{file.name}", filesystem, LABEL_COLUMNS):
        total = total + audit_row(row, classes)
    return total


def leak_audit(index: ShardIndex, tallies: Sequence[LeakTally], split: Split) -> LeakAudit:
    """Return the audit of an index's files from the tally of each.

    Raises:
        ValueError: if the tallies are not what was counted when the files were written.
    """
    audit = LeakAudit(
        schema_version=SCHEMA_VERSION,
        split=split.name,
        unseen=unseen_names(split.classes),
        files={file.name: file.sha256 for file in index.files},
        index=_text_digest(index),
        tally=sum(tallies, LeakTally.empty(split.classes)),
    )
    _check_counts(audit, index, "the index")
    return audit


def unseen_names(classes: ClassTable) -> tuple[str, ...]:
    """Return the names of the unseen classes, in the order of the table."""
    return tuple(classes.names[index] for index in classes.unseen)


def check_audit(audit: LeakAudit, index: ShardIndex, split: Split, file: str) -> None:
    """Accept an audit, read from `file`, as the clean proof of an index's files.

    Raises:
        ValueError: if it is of another split, other unseen classes or other files, or counts an unseen pixel.
    """
    if audit.schema_version != SCHEMA_VERSION:
        raise DataError(file, f"has version {audit.schema_version!r}, this code reads {SCHEMA_VERSION!r}", WRITE_AGAIN)
    if (audit.split, audit.unseen) != (split.name, unseen_names(split.classes)):
        what = (
            f"is of split {audit.split!r} with {len(audit.unseen)} unseen classes, not of {split.name!r} as it is now"
        )
        raise DataError(file, what, WRITE_AGAIN)
    if audit.files != {shard.name: shard.sha256 for shard in index.files}:
        raise DataError(file, "is the audit of other shards than those of the index", WRITE_AGAIN)
    if audit.index != _text_digest(index):
        raise DataError(file, "is the audit of another index: index.json was changed after it", WRITE_AGAIN)
    _check_counts(audit, index, file)
    audit.tally.check()


def check_listing(index: ShardIndex, filesystem: FileSystem, folder: str) -> None:
    """Accept a folder that holds no shards but those of an index.

    Raises:
        ValueError: if there is one more.
    """
    found = filesystem.get_file_info(FileSelector(folder, allow_not_found=True))
    names = {entry.base_name for entry in found if entry.type == FileType.File and _is_shard(entry.base_name)}
    if added := sorted(names - {file.name for file in index.files}):
        raise DataError(f"{folder}/{added[0]}", "is not in index.json", "remove it or write the shards again")


def check_files(files: Sequence[ShardFile], filesystem: FileSystem, folder: str) -> None:
    """Accept files of a folder as those that an index describes, by size and by the sha256 of every byte.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if one has another size or other bytes.
    """
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        for _ in threads.map(lambda file: _check_file(filesystem, folder, file), files):
            pass


def _is_shard(name: str) -> bool:
    return name.endswith(SHARD_SUFFIX) and not name.startswith(".")


def _check_file(filesystem: FileSystem, folder: str, file: ShardFile) -> None:
    path = f"{folder}/{file.name}"
    info = filesystem.get_file_info(path)
    if info.type != FileType.File:
        raise MissingFileError(path, "no such shard, but index.json lists it", FETCH_AGAIN)
    if info.size != file.num_bytes:
        raise DataError(path, f"has {info.size} bytes, but {file.num_bytes} in index.json", FETCH_AGAIN)
    digest = hashlib.sha256()
    with filesystem.open_input_stream(path) as source:
        while block := source.read(READ_BYTES):
            digest.update(block)
    if (found := digest.hexdigest()) != file.sha256:
        what = f"was changed after it was written: sha256 {found[:8]}..., but {file.sha256[:8]}... in index.json"
        raise DataError(path, what, FETCH_AGAIN)


def _check_counts(audit: LeakAudit, index: ShardIndex, file: str) -> None:
    counted = (audit.tally.num_images, audit.tally.class_segments, audit.tally.class_pixels)
    if counted != (index.num_images, index.class_segments, index.class_pixels):
        what = f"counts of {index.num_images} images differ from those of the {audit.tally.num_images} recounted"
        raise DataError(file, what, WRITE_AGAIN)


def _text_digest(index: ShardIndex) -> str:
    return hashlib.sha256(index.to_json().encode()).hexdigest()
