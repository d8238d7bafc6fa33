"""What an engine writes beside its checkpoint, and how ZeRO shards are cut anew for another number of ranks.

ZeRO's shards belong to a rank. DeepSpeed's universal form is one file a parameter and state, from which any number of
ranks can load: one process on each machine converts into a folder of that machine, and it is gone after the load.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

ORIGIN_FILE = "engine.json"
REMEDY = "remove it to start over"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who wrote a checkpoint."""

    strategy: str
    world_size: int


def world_size() -> int:
    """Return how many ranks train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first_rank() -> bool:
    """Return whether this process writes what is written once."""
    return not dist.is_initialized() or dist.get_rank() == 0


def write_origin(folder: Path, strategy: str) -> None:
    """Write, on the first rank, which strategy and how many ranks a checkpoint comes from."""
    if is_first_rank():
        origin = Origin(strategy=strategy, world_size=world_size())
        (folder / ORIGIN_FILE).write_text(json.dumps(asdict(origin)))


def read_origin(folder: Path, strategy: str) -> Origin:
    """Return who wrote a checkpoint.

    Raises:
        ValueError: if the folder has no readable account of it, or another strategy than `strategy` wrote it.
    """
    path = folder / ORIGIN_FILE
    try:
        found = json.loads(path.read_text())
        origin = Origin(strategy=str(found["strategy"]), world_size=int(found["world_size"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not say who wrote the checkpoint ({error!r}); {REMEDY}") from error
    if origin.strategy != strategy:
        raise ValueError(f"{folder} was written by {origin.strategy}, not by {strategy}; go on with it, or {REMEDY}")
    return origin


def check_shards(folder: Path, origin: Origin) -> None:
    """Refuse a ZeRO checkpoint that lacks the shard of a rank.

    Raises:
        ValueError: naming the folder and how many shards are there.
    """
    found = sum(1 for _ in folder.glob("*_optim_states.pt"))
    if found != origin.world_size:
        raise ValueError(f"{folder} holds the optimiser shards of {found} of {origin.world_size} ranks; {REMEDY}")


@contextlib.contextmanager
def universal_copy(shards: Path, converter: Callable[[argparse.Namespace], Any]) -> Iterator[Path]:
    """Give every rank a folder with the universal form of `shards`; all ranks enter and leave together.

    Raises:
        ValueError: on every rank, if the conversion failed on any.
    """
    names = [tempfile.mkdtemp(prefix="universal-") if is_first_rank() else ""]
    dist.broadcast_object_list(names, src=0)
    folder = Path(names[0])
    converts = int(os.environ.get("LOCAL_RANK", dist.get_rank())) == 0
    try:
        problem = convert(shards, folder, converter) if converts else ""
        problems: list[str] = [""] * dist.get_world_size()
        dist.all_gather_object(problems, problem)
        if any(problems):
            raise ValueError(f"{shards} cannot be converted for {dist.get_world_size()} ranks: {max(problems)}")
        yield folder
    finally:
        dist.barrier()
        if converts:
            shutil.rmtree(folder, ignore_errors=True)


def convert(shards: Path, folder: Path, converter: Callable[[argparse.Namespace], Any]) -> str:
    """Run DeepSpeed's converter in this process and return what went wrong, or nothing."""
    folder.mkdir(exist_ok=True)
    source = folder / "shards"  # the converter looks for files by patterns, which a path of the user's could upset
    source.symlink_to(shards.resolve(), target_is_directory=True)
    settings = argparse.Namespace(
        input_folder=str(source),
        output_folder=str(folder / "universal"),
        num_extract_workers=1,  # more would fork a process that has threads and devices
        num_merge_workers=1,
        keep_temp_folder=False,
        strict=True,
        inject_missing_state=True,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            converter(settings)
    except Exception as error:  # whatever it is, the other ranks wait to hear of it
        return f"{type(error).__name__}: {error}"
    return ""
