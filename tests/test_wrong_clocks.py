"""Clocks that are wrong: whether a stage is up to date is a matter of settings and content, not of time."""

import json
import os
import shutil
from pathlib import Path

import pytest

from jobs.__main__ import main

YEAR_S = 365 * 24 * 3600


@pytest.mark.parametrize("shift_s", [-YEAR_S, YEAR_S])
def test_files_of_another_year_are_up_to_date(shift_s: int, smoke_run: Path, tmp_path: Path) -> None:
    """As they are where a copy keeps no times, or where machines that share storage disagree about the time."""
    run_dir = shutil.copytree(smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns("work", "artifacts"))
    for number, path in enumerate(sorted(run_dir.rglob("*"))):
        time = path.stat().st_mtime + shift_s * (number % 3)  # some stages are newer than what is made from them
        os.utime(path, (time, time))
    assert main(["run", "smoke", "--run-dir", str(run_dir)]) == 0
    status = json.loads((run_dir / "status.json").read_text())
    assert {stage["state"] for stage in status["stages"]} == {"skipped"}
