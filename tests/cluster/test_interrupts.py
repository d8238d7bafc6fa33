"""Ray Train's handler of interrupts; Tune's is tested where it is used, in `tuning/sweep.py`."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import ray.train
from ray.train.torch import TorchTrainer

from cluster.interrupts import interrupts_raised
from tests.processes import named


def train(seconds: float, folder: Path) -> None:
    TorchTrainer(
        lambda settings: time.sleep(settings["seconds"]),
        train_loop_config={"seconds": seconds},
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(storage_path=str(folder), name="train"),
    ).fit()


def test_an_interrupted_training_is_no_success_and_the_next_interrupt_is_heard(
    ray_session: None, interruptible: None, tmp_path: Path
) -> None:
    def interrupt_once_it_trains() -> None:
        while not named("ray::RayTrainWorker"):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_once_it_trains, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), interrupts_raised():
        train(600, tmp_path / "interrupted")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interrupts_raised():
        train(0, tmp_path / "whole")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_elsewhere_than_in_the_main_thread_nothing_changes() -> None:
    ended = []

    def work() -> None:
        with interrupts_raised():
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [True]
