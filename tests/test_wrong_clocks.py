"""Clocks that are wrong: whether a stage is up to date is a matter of settings and content, not of time."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.storage import ROOT
from jobs.__main__ import main

YEAR_S = 365 * 24 * 3600
LIBRARY = os.environ.get("PADING_TEST_FAKETIME", "")


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


@pytest.mark.slow
@pytest.mark.skipif(
    not LIBRARY, reason="set PADING_TEST_FAKETIME to the file libfaketimeMT.so.1 of Debian's libfaketime"
)
@pytest.mark.parametrize("clock", ["-400d", "+400d"])
def test_a_machine_whose_clock_is_a_year_off_makes_the_same(clock: str, smoke_run: Path, tmp_path: Path) -> None:
    run_dir = shutil.copytree(smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns("work", "artifacts"))
    shutil.rmtree(run_dir / "evaluation")
    command = [sys.executable, "-m", "jobs", "evaluate", "smoke", "--run-dir", str(run_dir)]
    environment = os.environ | {"LD_PRELOAD": LIBRARY, "FAKETIME": clock, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in ("rows.json", "comparisons.json"):
        assert (run_dir / "evaluation" / name).read_bytes() == (smoke_run / "evaluation" / name).read_bytes()
