"""Real ranks: processes joined by gloo, as Ray Train would start them."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def run_ranks() -> Callable[..., None]:
    """Return a function that runs a worker script of this folder on a number of ranks, and fails if one fails."""
    return start_and_wait


def start_and_wait(world_size: int, script: str, *arguments: object) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world_size)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(HERE / script), *map(str, arguments)],
            env={
                **os.environ,
                **shared,
                "PYTHONPATH": str(HERE.parents[1]),
                "OMP_NUM_THREADS": "1",
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world_size)
    ]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0] * world_size, "\n".join(outputs)[-4000:]
