"""Stage `shard`: COCO files -> parquet shards without unseen classes in train, and the audit that proves it.

And the way to the shards for the stages after it: the run directory holds their indices, classes, audit and location.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

from cluster.filesystem import absolute_location, location_inside, open_location, write_file
from cluster.session import connect
from cluster.storage import RunDir
from jobs.config import PipelineConfig, split_of
from jobs.progress import say
from jobs.shard_parts import MEGABYTE, audit_part, check_part, publish_index, read_index, refuse_other_split, write_part
from pading.classes import ClassTable
from pading.data.errors import DataError, MissingFileError
from pading.data.shards.audit import LeakAudit
from pading.data.shards.index import INDEX_FILE, ShardIndex
from pading.data.shards.proof import check_audit
from pading.data.shards.shares import Quarantined
from pading.splits.split import Part

PARTS: tuple[Part, ...] = get_args(Part)
CLASSES_FILE, AUDIT_FILE, QUARANTINE_FILE = "classes.json", "leak_audit.json", "quarantine.json"
LOCATION_FILE, HERE = "location", "."  # where the parquet files lie; a run directory that holds them may be moved


def write_shards(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write `train/` (no unseen class in any label) and `val/`, then audit what was written.

    Raises:
        FileNotFoundError: if a file is missing and `data.skip_bad` is off.
        ValueError: if an image is bad and `data.skip_bad` is off, nothing is kept, the audit counts an unseen pixel, or
            the location holds the shards of another split.
    """
    connect()
    split, staging = split_of(config), run_dir.work("shard") / "shards"
    home = absolute_location(config.data.shards or staging)
    indices: dict[Part, ShardIndex] = {}
    quarantined: dict[Part, list[Quarantined]] = {}
    for part in PARTS:
        refuse_other_split(location_inside(home, part), split)
    write_file(split.classes.to_json().encode(), location_inside(home, CLASSES_FILE))  # fails before the long work does
    for part in PARTS:
        indices[part], quarantined[part] = write_part(config, run_dir, split, part, location_inside(home, part))
    audit = audit_part(indices["train"], split, location_inside(home, "train"))
    audit.tally.check()
    say(f"  leak audit: {audit.tally.num_images} train images, {audit.tally.num_pixels} pixels recounted, 0 unseen")
    if audit.tally.num_hidden_pixels:
        say(f"  {audit.tally.context_line()}")
    bad = {part: [dataclasses.asdict(entry) for entry in entries] for part, entries in quarantined.items()}
    papers = {
        CLASSES_FILE: split.classes.to_json(),
        AUDIT_FILE: audit.to_json(),
        QUARANTINE_FILE: json.dumps(bad, indent=1) + "\n",
    }
    for part in PARTS:
        publish_index(indices[part], location_inside(home, part))
        if config.data.shards:
            write_file(indices[part].to_json().encode(), str(folder / part / INDEX_FILE))
        else:
            (staging / part).rename(folder / part)
    for name, text in papers.items():
        (folder / name).write_text(text)
        if config.data.shards:
            write_file(text.encode(), location_inside(home, name))
    (folder / LOCATION_FILE).write_text(home if config.data.shards else HERE)
    return {
        part: {**index.counts, "files": len(index.files), "digest": index.digest} for part, index in indices.items()
    }


def audited_training_shards(config: PipelineConfig, run_dir: RunDir) -> ShardIndex:
    """Return the index of the training shards once their proof holds: audit, index and every byte agree.

    Raises:
        FileNotFoundError: if audit, index or a shard is missing.
        ValueError: if the audit is of other shards or another split or counts an unseen pixel, or a shard was changed.
    """
    index = shard_index(config, run_dir, "train")
    file = run_dir.artefact("shards") / AUDIT_FILE
    check_audit(LeakAudit.from_json(_read_paper(file), str(file)), index, split_of(config), str(file))
    location = shard_folder(config, run_dir, "train")
    there = location_inside(location, INDEX_FILE)
    if read_index(there) != index:
        what = f"differs from its copy in {run_dir.artefact('shards')}"
        raise DataError(there, what, "another run wrote there: write the shards again, to a location of their own")
    check_part(index, location)
    say(f"  training shards: {len(index.files)} files, {index.num_bytes / MEGABYTE:.0f} MB, as they were audited")
    return index


def check_shards(config: PipelineConfig, run_dir: RunDir, part: Part) -> None:
    """Check that every byte of one part's shards is as it was written.

    Raises:
        FileNotFoundError: if the index or a shard is missing.
        ValueError: if a shard was changed, or there is one more.
    """
    check_part(shard_index(config, run_dir, part), shard_folder(config, run_dir, part))


def shard_index(config: PipelineConfig, run_dir: RunDir, part: Part) -> ShardIndex:
    """Return the index of one part of this run's shards.

    Raises:
        FileNotFoundError: if the run has no shards.
        ValueError: if the file is no index, or of another split than the run's.
    """
    file = run_dir.artefact("shards") / part / INDEX_FILE
    index = ShardIndex.from_json(_read_paper(file), str(file))
    if (index.split, index.part) != (split_of(config).name, part):
        what = f"is of {index.part} of split {index.split!r}, not of {part} of {config.data.split!r}"
        raise DataError(str(file), what, "write the shards again")
    return index


def train_index(config: PipelineConfig, run_dir: RunDir) -> ShardIndex:
    """Return the index of this run's training shards."""
    return shard_index(config, run_dir, "train")


def shard_folder(config: PipelineConfig, run_dir: RunDir, part: Part) -> str:
    """Return the location of one part of this run's shards.

    Raises:
        FileNotFoundError: if the run has no shards.
        ValueError: if `data.shards` names another location than the shards were written to.
    """
    shards = run_dir.artefact("shards").absolute()
    home = _read_paper(shards / LOCATION_FILE)
    asked = config.data.shards
    if asked not in ("", home) and asked == absolute_location(asked):  # what a relative path means depends on the place
        remedy = "leave --data.shards out, or write the shards again"
        raise DataError(str(shards), f"its files lie in {home}, not in {asked}", remedy)
    return location_inside(str(shards) if home == HERE else home, part)


def shard_files(config: PipelineConfig, run_dir: RunDir, part: Part) -> list[str]:
    """Return the paths of one part's parquet files, in order, in the file system of `shard_folder`."""
    _, folder = open_location(shard_folder(config, run_dir, part))
    return [f"{folder}/{file.name}" for file in shard_index(config, run_dir, part).files]


def shard_classes(run_dir: RunDir) -> ClassTable:
    """Return the class table that the shards were written with."""
    return ClassTable.from_json(_read_paper(run_dir.artefact("shards") / CLASSES_FILE))


def _read_paper(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError as error:
        raise MissingFileError(str(file), "no such file", "run the stage 'shard' first") from error
    except UnicodeDecodeError as error:
        raise DataError(str(file), "is not text", "write the shards again") from error
