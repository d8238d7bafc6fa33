"""A training worker killed in the middle: the run goes on and ends with the weights of an undisturbed run."""

import json
import shutil
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from jobs.__main__ import main

EPOCHS = 6


def train(run_dir: Path) -> int:
    return main(["pretrain", "smoke", "--run-dir", str(run_dir), "--pretrain.epochs", str(EPOCHS)])


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def kill_a_worker_between_checkpoints(run_dir: Path, killed: list[int]) -> None:
    """Wait for a second checkpoint, so that the first is complete, then kill a process that trains for this run."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and not killed:
        if len(list((run_dir / "work" / "pretrain").glob("*/checkpoint_*"))) > 1:
            # Only what this process started: another test run on the machine may train as well.
            for process in psutil.Process().children(recursive=True):
                if not killed and "ray::RayTrainWorker" in command_line(process):
                    process.kill()
                    killed.append(process.pid)
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_worker_changes_no_weight(smoke_run: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "whole", tmp_path / "killed"]
    for run_dir in runs:
        for name in ("shapes", "verify", "shards"):
            shutil.copytree(smoke_run / name, run_dir / name)
    assert train(runs[0]) == 0
    killed: list[int] = []
    thread = threading.Thread(target=kill_a_worker_between_checkpoints, args=(runs[1], killed))
    thread.start()
    assert train(runs[1]) == 0
    thread.join()
    assert len(killed) == 1
    whole, resumed = (load_file(run_dir / "segmenter" / "weights.safetensors") for run_dir in runs)
    assert whole.keys() == resumed.keys()
    for name, weight in whole.items():
        assert torch.equal(weight, resumed[name]), name
    counts = [json.loads((run_dir / "segmenter" / "manifest.json").read_text())["counts"] for run_dir in runs]
    assert counts[0] == counts[1]
    assert not (runs[1] / "work" / "pretrain").exists()
