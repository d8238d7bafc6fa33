"""A training worker killed in the middle: the run goes on and ends with the weights of an undisturbed run."""

import json
import os
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

EPOCHS = 6


def train(run_dir: Path) -> int:
    return main(["pretrain", "smoke", "--run-dir", str(run_dir), "--pretrain.epochs", str(EPOCHS)])


def kill_a_worker_after_the_first_checkpoint(run_dir: Path, killed: list[int]) -> None:
    """Wait for a checkpoint, then send SIGKILL to one of the processes that train for this run."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and not killed:
        if list((run_dir / "work" / "pretrain").glob("*/checkpoint_*")):
            workers = [p for p in psutil.process_iter(["cmdline"]) if "ray::RayTrainWorker" in " ".join(p.cmdline())]
            if workers:
                os.kill(workers[0].pid, signal.SIGKILL)
                killed.append(workers[0].pid)
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_worker_changes_no_weight(smoke_run: Path, tmp_path: Path) -> None:
    runs = [tmp_path / "whole", tmp_path / "killed"]
    for run_dir in runs:
        for name in ("shapes", "verify", "shards"):
            shutil.copytree(smoke_run / name, run_dir / name)
    assert train(runs[0]) == 0
    killed: list[int] = []
    thread = threading.Thread(target=kill_a_worker_after_the_first_checkpoint, args=(runs[1], killed))
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
