"""The run directory: where each artefact of a run lies, what made it, and how it is written whole or not at all."""

import contextlib
import dataclasses
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

MANIFEST = "manifest.json"
UNCHECKED = (".safetensors", ".bin", ".json")  # formats that notice no changed digit; parquet and npz have checksums
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # a disk is full, or somebody's share of it
BLOCK_BYTES = 512  # what `st_blocks` counts
ROOT = Path(__file__).resolve().parents[1]  # the folder that holds all four packages


class BusyError(ValueError):
    """Another pipeline is at work in a run directory: nothing there is ours to write."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What made an artefact. Two artefacts of one stage are interchangeable exactly when their `digest` is equal."""

    stage: str
    schema_version: int
    settings: dict[str, Any]
    inputs: dict[str, str]  # earlier stage or outside file -> digest
    counts: dict[str, Any] = dataclasses.field(default_factory=dict)
    code_version: str = ""
    seconds: float = 0.0
    files: dict[str, str] = dataclasses.field(default_factory=dict)  # digests of those that do not check themselves

    @property
    def digest(self) -> str:
        """Identity of the artefact: settings, inputs and schema, not the time or the commit it was made at."""
        identity = [self.stage, self.schema_version, self.settings, self.inputs]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    def write(self, folder: Path) -> None:
        """Write `manifest.json` into an artefact's folder."""
        write_json(folder / MANIFEST, {**dataclasses.asdict(self), "digest": self.digest})

    @staticmethod
    def read(folder: Path) -> "Manifest | None":
        """Return the manifest of a finished artefact, or None where there is none.

        Raises:
            ValueError: if the file is not a manifest, or was edited so that its digest no longer fits.
        """
        path = folder / MANIFEST
        if not path.is_file():
            return None
        try:
            fields = json.loads(path.read_text())
            digest = fields.pop("digest")
            manifest = Manifest(**fields)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a manifest ({error}); remove {folder} to redo the stage") from error
        if manifest.digest != digest:
            raise ValueError(f"{path} was changed after it was written; remove {folder} to redo the stage")
        return manifest

    def require_whole(self, folder: Path) -> None:
        """Check that the artefact's files are those that its stage wrote.

        Raises:
            ValueError: naming the first file that is gone or was changed.
        """
        for name, digest in self.files.items():
            if not (folder / name).is_file() or file_digest(folder / name) != digest:
                state = "was changed after" if (folder / name).exists() else "is gone since"
                raise ValueError(
                    f"{folder / name} {state} the stage {self.stage!r} wrote it; redo it with "
                    f"`--from {self.stage} --force`"
                )

    def differences(self, other: "Manifest") -> list[str]:
        """Return one line for each setting or input in which `other` differs, e.g. `steps: 100 -> 200`."""
        mine = {**_leaves(self.settings), **_leaves(self.inputs, "input ")}
        theirs = {**_leaves(other.settings), **_leaves(other.inputs, "input ")}
        if self.schema_version != other.schema_version:
            mine["schema"], theirs["schema"] = self.schema_version, other.schema_version
        keys = [key for key in sorted(mine.keys() | theirs.keys()) if mine.get(key) != theirs.get(key)]
        return [f"{key}: {mine.get(key)} -> {theirs.get(key)}" for key in keys]


def _leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix.rstrip("."): tree}
    return {key: leaf for name, branch in tree.items() for key, leaf in _leaves(branch, f"{prefix}{name}.").items()}


@dataclass(frozen=True)
class RunDir:
    """All paths of one run. A stage owns one folder; `work/` holds what a stage keeps to resume from."""

    root: Path

    def artefact(self, name: str) -> Path:
        """Return the folder of a finished artefact, e.g. `shards`."""
        return self.root / name

    def work(self, stage: str) -> Path:
        """Return the folder of a stage's unfinished work, such as training checkpoints; it survives a crash."""
        return self.root / "work" / stage

    def claim_work(self, stage: str, digest: str) -> None:
        """Keep the unfinished work of a stage if it was for the artefact of this digest, and clear it otherwise."""
        folder = self.work(stage)
        owner = folder / "digest.txt"
        if not owner.is_file() or owner.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            owner.write_text(digest)

    @property
    def status(self) -> Path:
        """`status.json`, the run's state for people and machines."""
        return self.root / "status.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one pipeline; the lock ends with the process, however it ends.

        Raises:
            BusyError: if another pipeline is at work in this directory.
            OSError: if it cannot be written to.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    f"another pipeline is at work in {self.root}; wait for it or use another --run-dir"
                ) from None
            yield


@contextlib.contextmanager
def written_whole(final: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `final` on success and vanishes on failure.

    What was in its place is moved away before it is deleted: a deletion that is killed midway must not leave half a
    folder under the name of a whole one. What earlier attempts left is cleared; one that is still at work fails.
    """
    replaced, partial = final.with_name(f".{final.name}.replaced"), _place_beside(final)
    clear_attempts(final)
    shutil.rmtree(replaced, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if final.exists():
            final.replace(replaced)
        partial.replace(final)
    except BaseException:
        if replaced.exists() and not final.exists():
            replaced.replace(final)
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def written_once(final: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `final`, unless another attempt at the same is whole by then.

    For tasks: one may be done twice at a time, as Ray takes hosts for dead that are only cut off, and as tasks go on
    whose stage has failed. What killed ones left is for the driver to clear, which knows that no other is at work.
    """
    partial = _place_beside(final)
    partial.mkdir(parents=True)
    try:
        yield partial
        try:
            partial.rename(final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _place_beside(final: Path) -> Path:
    """Return a name of its own for an attempt at a folder."""
    return final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.partial")


def clear_attempts(final: Path) -> None:
    """Delete what earlier attempts at a folder left; one that is still at work fails."""
    for left in final.parent.glob(f".{glob.escape(final.name)}.{'?' * 8}.partial"):
        shutil.rmtree(left, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON under a temporary name, then rename, so that a reader never sees half a file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json_text(value))
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def overwrite_json(path: Path, value: Any) -> bool:
    """Write JSON over a file on a full disk, if it fits into the room that the file has; return whether it did."""
    content = json_text(value).encode()
    with path.open("r+b") as file:
        if len(content) > os.fstat(file.fileno()).st_blocks * BLOCK_BYTES:
            return False
        file.write(content)
        file.truncate()
    return True


def json_text(value: Any) -> str:
    """Return JSON as all files of a run have it."""
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def digests_of_files(folder: Path, redrawn: Container[str]) -> dict[str, str]:
    """Return the digests of an artefact's files that do not check themselves, but for those that may be drawn again.

    What a link leads to is not the artefact's.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix in UNCHECKED and not path.is_symlink())
    return {str(path.relative_to(folder)): file_digest(path) for path in found if path.name not in redrawn}


def file_digest(path: Path) -> str:
    """Return the first 16 hex digits of a file's sha256."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]


def plain_name(name: Any) -> str:
    """Return the name of a folder or file that a document gives, if it stays in the folder that it is put after.

    Raises:
        ValueError: if it is no name, or leads elsewhere.
    """
    if (
        not isinstance(name, str)
        or name in ("", ".", "..")
        or PurePath(name).name != name
        or "\\" in name
        or "\0" in name
    ):
        raise ValueError(f"{name!r} is no plain name of a folder or file")
    return name
