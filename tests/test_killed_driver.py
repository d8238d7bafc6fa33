"""The process of a pipeline killed, or asked to end: the same command goes on, and ends as if nothing had been."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jobs.__main__ import main
from tests.marks import BY_REQUEST
from tests.processes import title_of
from tests.runs import linked_run

ROOT = Path(__file__).resolve().parents[1]
GRACE_S = 30  # what Kubernetes gives a pod between SIGTERM and SIGKILL
INPUTS = {
    "fit": ("shards", "text", "segmenter", "cache", "sweep"),
    "pretrain": ("shards",),
}
FINISHED_PARTS = {"fit": "[!.]*/classifier.json", "pretrain": "*/checkpoint_*"}  # in the stage's work
NUMBERS = {"fit": "classifiers/*/*.safetensors", "pretrain": "segmenter/weights.safetensors"}


def start(stage: str, run_dir: Path) -> subprocess.Popen:
    """Start a stage as a process of its own, with a Ray of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "jobs", stage, "smoke", "--run-dir", str(run_dir)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def parts(stage: str, run_dir: Path) -> dict[str, int]:
    """Return what a stage can go on from, each with its time."""
    folder = run_dir / "work" / stage
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.glob(FINISHED_PARTS[stage])}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "number"), [("fit", signal.SIGKILL), pytest.param("pretrain", signal.SIGTERM, marks=BY_REQUEST)]
)
def test_a_stage_whose_driver_ends_goes_on_and_makes_the_same(
    stage: str, number: signal.Signals, smoke_run: Path, tmp_path: Path
) -> None:
    run_dir = linked_run(tmp_path / "run", smoke_run, INPUTS[stage])
    process = start(stage, run_dir)
    deadline = time.monotonic() + 240
    while not parts(stage, run_dir):
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    tree = psutil.Process(process.pid).children(recursive=True)
    tree = [child for child in tree if "Agent" not in title_of(child)]  # Ray's agents take a minute to notice
    process.send_signal(number)
    _, stderr = process.communicate(timeout=GRACE_S)
    _, alive = psutil.wait_procs(tree, timeout=60)  # Ray's processes see that their driver is gone
    assert alive == []
    status = json.loads((run_dir / "status.json").read_text())
    if number == signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM
        assert stderr.decode().splitlines()[-1] == "error: terminated; the same command continues where it stopped"
        assert (status["state"], status["stages"][0]["state"]) == ("failed", "failed")
    else:
        assert process.returncode == -signal.SIGKILL
        assert status["state"] == "running"  # nobody was left to write it; the lock is free
    finished = parts(stage, run_dir)
    assert finished

    assert main([stage, "smoke", "--run-dir", str(run_dir)]) == 0
    made, expected = (
        {path.relative_to(folder): path.read_bytes() for path in folder.glob(NUMBERS[stage])}
        for folder in (run_dir, smoke_run)
    )
    assert made == expected
    assert json.loads((run_dir / "status.json").read_text())["state"] == "succeeded"
    if stage == "fit":  # what was finished was not done again
        assert (
            finished.items()
            <= {
                str(path.relative_to(run_dir / "classifiers")): path.stat().st_mtime_ns
                for path in (run_dir / "classifiers").glob("*/*")
            }.items()
        )
