"""Processes of a training killed in the middle: it goes on and ends with the weights of an undisturbed run."""

import json
import shutil
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from jobs.__main__ import main

EPOCHS = 8
VICTIMS = (  # after so many checkpoints, which process, by which signal
    (2, "ray::RayTrainWorker", signal.SIGKILL),
    (4, "ray::TrainController", signal.SIGKILL),
    (6, "ray::RayTrainWorker", signal.SIGTERM),
)


def train(run_dir: Path) -> int:
    return main(["pretrain", "smoke", "--run-dir", str(run_dir), "--pretrain.epochs", str(EPOCHS)])


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def steps_of(history: Path) -> list[int]:
    return [json.loads(line)["step"] for line in history.read_text().splitlines()]


def kill_between_checkpoints(run_dir: Path, killed: list[str]) -> None:
    """End a process of the training each time that one more checkpoint than it may fall back to is there."""
    deadline = time.monotonic() + 300
    checkpoints: set[str] = set()
    while time.monotonic() < deadline and len(killed) < len(VICTIMS):
        checkpoints |= {path.name for path in (run_dir / "work" / "pretrain").glob("*/checkpoint_*")}
        least, title, number = VICTIMS[len(killed)]
        if len(checkpoints) >= least:
            # Only what this process started: another test run on the machine may train as well.
            found = [p for p in psutil.Process().children(recursive=True) if title in command_line(p)]
            if found:
                found[0].send_signal(number)
                killed.append(title)
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_workers_and_a_killed_controller_change_no_weight(smoke_run: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "whole", tmp_path / "killed"]
    for run_dir in runs:
        for name in ("shapes", "verify", "shards"):
            shutil.copytree(smoke_run / name, run_dir / name)
    assert train(runs[0]) == 0
    killed: list[str] = []
    thread = threading.Thread(target=kill_between_checkpoints, args=(runs[1], killed))
    thread.start()
    assert train(runs[1]) == 0
    thread.join()
    assert killed == [title for _, title, _ in VICTIMS]
    whole, resumed = (load_file(run_dir / "segmenter" / "weights.safetensors") for run_dir in runs)
    assert whole.keys() == resumed.keys()
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name
    counts = [json.loads((run_dir / "segmenter" / "manifest.json").read_text())["counts"] for run_dir in runs]
    assert counts[0] == counts[1]
    steps, again = (steps_of(run_dir / "segmenter" / "history.jsonl") for run_dir in runs)
    assert steps == again == sorted(set(steps))  # none lost, none counted twice
    assert not (runs[1] / "work" / "pretrain").exists()
