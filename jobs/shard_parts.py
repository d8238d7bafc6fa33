"""One part of a split -> its shard files and index, by Ray Data: an item is a share of the images, one file each.

A finished share leaves its entry in the work folder of the stage, so a job that was killed goes on with the shares
that are missing and ends with the same bytes. Files are part of the data set once the index names them.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.data

from cluster.filesystem import (
    delete_file,
    file_sizes,
    is_temporary,
    location_inside,
    open_location,
    publish,
    read_file,
    scratch_folder,
    write_file,
)
from cluster.storage import RunDir
from cluster.tasks import in_order
from jobs.config import PipelineConfig, data_root
from jobs.progress import Progress, say
from pading.classes import ClassTable
from pading.data.coco.source import ImageRecord, choose, scan
from pading.data.errors import DataError, MissingFileError, OtherClassesError
from pading.data.shards.audit import LeakAudit, LeakTally
from pading.data.shards.index import INDEX_FILE, ShardFile, ShardIndex, shard_file_from_plain
from pading.data.shards.proof import audit_file, check_files, check_listing, leak_audit
from pading.data.shards.shares import Quarantined, WrittenShare, index_of, plan_shares, write_share
from pading.splits.split import Part, Split

MEGABYTE = 2**20
MAX_BLOCKS = 10_000  # Ray Data's driver spends some 10 ms on each, so that more of them would hold up the cluster
FILES_TOGETHER = 8  # that a task hashes, in threads, since a store answers slowly: a gigabyte
SHARD_NAME = re.compile(r"part-\d{5}-[0-9a-f]{8}\.parquet")


def write_part(
    config: PipelineConfig, run_dir: RunDir, split: Split, part: Part, location: str
) -> tuple[ShardIndex, list[Quarantined]]:
    """Write the images that the split keeps to files at a location; return their index and the images that were bad.

    Raises:
        FileNotFoundError: if a file is missing and `data.skip_bad` is off.
        ValueError: if an image is bad and `data.skip_bad` is off, or nothing is kept.
    """
    root = data_root(config, run_dir).absolute()
    records, left_out, quarantined = _chosen(root, split, part, skip_bad=config.data.skip_bad)
    num_found = len(records) + left_out.total() + len(quarantined)
    say(f"  {part}: {len(records)} of {num_found} images to keep{''.join(f', {left_out[r]} {r}' for r in left_out)}")
    shares = plan_shares(records, config.data.shard_mb * MEGABYTE)
    settings = {
        "split": split,
        "part": part,
        "location": location,
        "entries": run_dir.work("shard").absolute(),
        "skip_bad": config.data.skip_bad,
    }
    items = [{"share": share} for share in shares]
    blocks = min(len(items), MAX_BLOCKS)
    entries = ray.data.from_items(items, override_num_blocks=blocks).map(_write_one, fn_kwargs=settings)
    progress, bad = Progress(f"shard {part}", len(records)), list[Quarantined]()

    def as_they_come() -> Iterator[WrittenShare]:
        done = 0
        for share, row in zip(shares, entries.iter_rows(), strict=True):
            written = WrittenShare.from_json(row["written"])
            bad.extend(written.quarantined)
            progress.update(done := done + len(share.records))
            yield written

    index = index_of(as_they_come(), split, part, left_out, len(quarantined))
    quarantined += bad
    if not index.files:
        raise ValueError(f"{root}: all {len(quarantined)} images of {split.folder(part)} are bad: {_said(quarantined)}")
    if quarantined:
        say(f"  {part}: {len(quarantined)} bad images left out, the first: {_said(quarantined)}")
    _check_there(index, location)
    return index, quarantined


def audit_part(index: ShardIndex, split: Split, location: str) -> LeakAudit:
    """Decode every label map of the files at a location and recount every pixel against the unseen list.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is not the one of the index, or counts otherwise.
    """
    files = [{"file": json.dumps(dataclasses.asdict(file))} for file in index.files]
    settings = {"location": location, "classes": split.classes}
    blocks = min(len(files), MAX_BLOCKS)
    counted = ray.data.from_items(files, override_num_blocks=blocks).map(_audit_one, fn_kwargs=settings)
    progress, total = Progress("leak audit, files", len(files)), LeakTally.empty(split.classes)
    for done, row in enumerate(counted.iter_rows(), start=1):
        total = total + LeakTally.from_plain(json.loads(row["tally"]))
        progress.update(done)
    return leak_audit(index, [total], split)


def check_part(index: ShardIndex, location: str) -> None:
    """Accept the files at a location as exactly those of an index; every byte is hashed, all over the cluster.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if one has another size or other bytes, or there is one more.
    """
    check_listing(index, *open_location(location))
    groups = [index.files[start : start + FILES_TOGETHER] for start in range(0, len(index.files), FILES_TOGETHER)]
    progress = Progress("check shards, files", len(index.files))
    for done, reference in enumerate(in_order(lambda files: _check_some.remote(files, location), groups), start=1):
        ray.get(reference)
        progress.update(min(done * FILES_TOGETHER, len(index.files)))


def refuse_other_split(location: str, split: Split) -> None:
    """Accept a location to write to: empty, or with shards of the same split, which new ones may replace.

    Raises:
        ValueError: if it holds an index of another split, or a damaged one.
    """
    try:
        found = read_index(location_inside(location, INDEX_FILE))
    except MissingFileError:
        return
    if found.split != split.name:
        raise DataError(location, f"holds shards of split {found.split!r}", "give another --data.shards or remove them")


def publish_index(index: ShardIndex, location: str) -> None:
    """Write the index beside its files, and clear away shards of earlier jobs and broken uploads."""
    write_file(index.to_json().encode(), location_inside(location, INDEX_FILE))
    listed = {file.name for file in index.files}
    for name in file_sizes(location):
        if is_temporary(name) or (SHARD_NAME.fullmatch(name) and name not in listed):
            delete_file(location_inside(location, name))


def read_index(location: str) -> ShardIndex:
    """Return the index that lies at a location.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if the file is no index.
    """
    try:
        content = read_file(location)
    except FileNotFoundError as error:
        raise MissingFileError(location, "no such index", "write the shards again") from error
    return ShardIndex.from_json(content.decode(errors="replace"), location)


def _chosen(
    root: Path, split: Split, part: Part, *, skip_bad: bool
) -> tuple[list[ImageRecord], Counter[str], list[Quarantined]]:
    records, left_out, quarantined = [], Counter[str](), []
    for item in scan(root, split, part):
        if isinstance(item, DataError):
            if not skip_bad or isinstance(item, OtherClassesError):
                raise item
            quarantined.append(Quarantined.of(item))
        elif (choice := choose(item, split, part)) == "kept":
            records.append(item)
        else:
            left_out[choice] += 1
    if not records:
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "there are none"
        bad = f", {len(quarantined)} bad" if quarantined else ""
        remedy = "give more images or another split"
        raise ValueError(f"{root}: split {split.name!r} keeps no image of {split.folder(part)} ({why}{bad}); {remedy}")
    return records, left_out, quarantined


def _write_one(
    row: dict[str, Any], split: Split, part: Part, location: str, entries: Path, skip_bad: bool
) -> dict[str, str]:
    """Ray Data map: write one share, or find it written."""
    share = row["share"]
    entry = entries / f"{part}-{share.number:05d}.json"
    written = _finished(entry, share.digest, location)
    if written is None:
        with scratch_folder() as scratch:
            written = write_share(share, split, part, scratch, skip_bad=skip_bad)
            if written.file is not None:
                publish(scratch / written.file.name, location_inside(location, written.file.name))
        write_file(written.to_json().encode(), str(entry))
    return {"written": written.to_json()}


def _finished(entry: Path, digest: str, location: str) -> WrittenShare | None:
    """Return the entry of this very share if its file lies there whole; bad images may have been repaired since."""
    try:
        written = WrittenShare.from_json(entry.read_text())
    except (FileNotFoundError, ValueError):
        return None
    if written.digest != digest or written.quarantined or written.file is None:
        return None
    filesystem, path = open_location(location_inside(location, written.file.name))
    return written if filesystem.get_file_info(path).size == written.file.num_bytes else None


def _audit_one(row: dict[str, str], location: str, classes: ClassTable) -> dict[str, str]:
    """Ray Data map: recount one file."""
    filesystem, folder = open_location(location)
    tally = audit_file(filesystem, folder, shard_file_from_plain(json.loads(row["file"])), classes)
    return {"tally": json.dumps(tally.to_plain())}


@ray.remote(num_cpus=1)
def _check_some(files: Sequence[ShardFile], location: str) -> None:
    filesystem, folder = open_location(location)
    check_files(files, filesystem, folder)


def _check_there(index: ShardIndex, location: str) -> None:
    """Notice a location that is another place in each process, such as a machine's own disc or memory."""
    sizes = file_sizes(location)
    for file in index.files:
        if sizes.get(file.name) != file.num_bytes:
            remedy = "give --data.shards a location that all machines share"
            raise DataError(location, f"{file.name} was written but is not there", remedy)


def _said(quarantined: list[Quarantined]) -> str:
    first = quarantined[0]
    return f"{first.file}: {first.what}; {first.remedy}"
