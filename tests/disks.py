"""A small disk to fill up or make read-only: a mount, which root may make and every process sees."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FILLER = "filler"


class Disk:
    """A mounted file system of its own, at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def leave(self, num_bytes: int) -> None:
        """Fill the disk but for so many bytes."""
        (self.root / FILLER).unlink(missing_ok=True)
        state = os.statvfs(self.root)
        with (self.root / FILLER).open("wb") as filler:
            filler.write(bytes(state.f_bavail * state.f_frsize - num_bytes))

    def empty(self) -> None:
        """Make room again."""
        (self.root / FILLER).unlink()

    def allow_writing(self, is_allowed: bool) -> None:
        """Make the disk read-only, for root as well, or undo that."""
        self._mount("-o", f"remount,{'rw' if is_allowed else 'ro'}", str(self.root))

    def _mount(self, *words: str) -> None:
        subprocess.run(["mount", *words], check=True, capture_output=True)


@contextmanager
def small_disk(root: Path, megabytes: int) -> Iterator[Disk]:
    """Mount a disk at a new folder; skip the test where that is not allowed."""
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs the command `mount`")
    if done.returncode:
        pytest.skip(f"needs the right to mount a disk: {done.stderr.strip()}")
    try:
        yield Disk(root)
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True, capture_output=True)
