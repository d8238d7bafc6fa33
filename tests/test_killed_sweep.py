"""A sweep whose driver is killed goes on by the same command: every trial once, and the winner it would have had."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jobs.__main__ import main
from tests.processes import title_of

ROOT = Path(__file__).resolve().parents[1]
TRIALS = 6
FLAGS = ["--sweep.search", "tpe", "--sweep.schedule", "fifo", "--sweep.trials", str(TRIALS), "--sweep.holdouts", "2"]
FLAGS += ["--method.generator.steps", "100", "--method.classifier.steps", "100", "--sweep.name", "aside"]


def words(run_dir: Path) -> list[str]:
    return ["sweep", "smoke", "--run-dir", str(run_dir), *FLAGS]


def start(run_dir: Path) -> subprocess.Popen:
    """Start the sweep as a process of its own, with a Ray of its own."""
    command = [sys.executable, "-m", "jobs", *words(run_dir)]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def outcome(run_dir: Path) -> tuple[list, dict]:
    """Return trials by number, and the winner, without what depends on the clock."""
    folder = run_dir / "sweeps" / "aside"
    trials, best = (json.loads((folder / name).read_text()) for name in ("trials.json", "best.json"))
    for trial in (*trials, best):
        for name in ("seconds", "cpu_seconds"):
            del trial[name]
    return sorted(trials, key=lambda trial: trial["number"]), best


@pytest.mark.slow
def test_a_killed_driver_loses_and_doubles_nothing(smoke_run: Path, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    whole, killed = (
        shutil.copytree(smoke_run, tmp_path / name, ignore=shutil.ignore_patterns("work", "mlflow*", "artifacts"))
        for name in ("whole", "killed")
    )
    assert main(words(whole)) == 0
    journal = killed / "work" / "sweeps" / "aside" / "trials.jsonl"
    process = start(killed)
    deadline = time.monotonic() + 240
    while not (journal.is_file() and journal.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    tree = psutil.Process(process.pid).children(recursive=True)
    tree = [child for child in tree if "Agent" not in title_of(child)]  # Ray's agents take a minute to notice
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(tree, timeout=60)  # Ray's processes see that their driver is gone
    assert alive == []
    known = journal.read_bytes().count(b"\n")
    assert 2 <= known < TRIALS
    assert not (killed / "sweeps" / "aside").exists()
    assert main(words(killed)) == 0

    assert outcome(killed) == outcome(whole)
    trials, best = outcome(killed)
    assert [trial["number"] for trial in trials] == list(range(TRIALS))
    client = MlflowClient(f"sqlite:///{killed / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pading/sweep")
    runs = client.search_runs([experiment.experiment_id])
    names = sorted(run.info.run_name for run in runs)
    assert names == sorted(["sweep aside of killed", *(f"trial {number}" for number in range(TRIALS))])
    (chosen,) = [run for run in runs if run.data.tags.get("is_chosen") == "true"]
    assert chosen.info.run_name == f"trial {best['number']}"

    # the pipeline's own sweep and what was fitted with it are as they were
    for name in ("sweep/best.json", "config.json", "classifiers/classifiers.json"):
        assert (killed / name).read_bytes() == (smoke_run / name).read_bytes()
