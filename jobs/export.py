"""Verb `export`: the shards of a run -> WebDataset tar files, or its segmenter -> a folder, for use elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cluster.filesystem import absolute_location, file_sizes, location_inside, open_location, publish, scratch_folder
from cluster.storage import RunDir
from jobs.config import read_config
from jobs.export_segmenter import export_segmenter
from jobs.progress import Progress, say
from jobs.shard import shard_classes, shard_files, shard_folder, shard_index
from pading.data.shards.rows import read_rows
from pading.data.shards.webdataset import write_tars
from pading.splits.split import Part

TAR_BYTES = 300 * 2**20
SUFFIX = ".tar"


@dataclass(frozen=True, kw_only=True)
class Export:
    """Copy out what a run has made: its shards as WebDataset tar files, or its segmenter."""

    run_dir: Path
    """A run directory whose `shard` stage is finished, or `pretrain` for the segmenter."""
    output: str
    """Folder to write to: a path, file://, s3:// or any protocol of fsspec."""
    what: Literal["shards", "segmenter", "transformers"] = "shards"
    """PART-00000.tar, ... with photo, label maps and segments of one image side by side; the segmenter with its class
    table and provenance, for `--pretrain.init-from`; or the segmenter for `from_pretrained` of transformers."""
    part: Part = "train"
    """Which images of the shards."""


def export(command: Export) -> None:
    """Write the files of an export, each under its name only once it is whole.

    Raises:
        FileNotFoundError: if the run does not have what is asked for.
        ValueError: if that is damaged or has no such form, or files of an export lie in the output already.
    """
    if command.what == "shards":
        _export_shards(command)
    else:
        export_segmenter(RunDir(command.run_dir.absolute()), absolute_location(command.output), command.what)


def _export_shards(command: Export) -> None:
    """Write the tar files of one part.

    Raises:
        FileNotFoundError: if the run has no shards.
        ValueError: if a shard is damaged, or tar files of the part lie in the output already.
    """
    run_dir = RunDir(command.run_dir.absolute())
    config, output = read_config(run_dir), absolute_location(command.output)
    index, classes = shard_index(config, run_dir, command.part), shard_classes(run_dir)
    stale = [name for name in file_sizes(output) if name.startswith(f"{command.part}-") and name.endswith(SUFFIX)]
    if stale:
        raise ValueError(f"{output} already holds {stale[0]}; give an empty --output or remove its tar files")
    filesystem, _ = open_location(shard_folder(config, run_dir, command.part))

    def rows() -> Iterator[dict[str, Any]]:
        for file in shard_files(config, run_dir, command.part):
            yield from read_rows(file, filesystem)

    progress, done, num_tars = Progress(f"export {command.part}", index.num_images), 0, 0
    with scratch_folder() as scratch:
        for path, num_samples in write_tars(rows(), scratch, command.part, classes, TAR_BYTES):
            publish(path, location_inside(output, path.name))
            path.unlink()
            num_tars += 1
            progress.update(done := done + num_samples)
    say(f"{done} images in {num_tars} tar files -> {output}")
