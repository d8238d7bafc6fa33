"""Run directories that begin where a finished one is."""

from collections.abc import Iterable
from pathlib import Path


def linked_run(run_dir: Path, finished: Path, names: Iterable[str]) -> Path:
    """Make a run directory that has these artefacts of a finished run, by links, and nothing else."""
    run_dir.mkdir(parents=True, exist_ok=True)
    for name in names:
        (run_dir / name).symlink_to(finished / name)
    return run_dir
