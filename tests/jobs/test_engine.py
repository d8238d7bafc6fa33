"""Every strategy takes the same steps, resumes exactly, and gives up its whole weights."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]

# One process group of two ranks, all strategies in turn: starting Python twice is the costly part.
WORKER = """
import json, os, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import torch, torch.distributed as dist
from torch import nn
from jobs.engine import make_engine

dist.init_process_group("gloo")
rank, folder = dist.get_rank(), Path(sys.argv[1])
torch.set_num_threads(1)

def build(strategy):
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 4))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    return make_engine(module, optimizer, strategy=strategy, rank_batch=8, clip=0.5, bf16=False)

def steps(engine, numbers):
    losses = []
    for number in numbers:
        source = torch.Generator().manual_seed(100 * number + rank)
        x, y = torch.randn(8, 6, generator=source), torch.randn(8, 4, generator=source)
        loss = ((engine.model(x) - y) ** 2).mean()
        engine.backward(loss)
        engine.step(1.0 / (1 + number))
        losses.append(loss.item())
    return losses

results = {}
for strategy in ("ddp", "zero1", "zero2", "zero3"):
    engine = build(strategy)
    losses = steps(engine, [0, 1])
    checkpoint = folder / strategy
    checkpoint.mkdir(exist_ok=True)
    dist.barrier()
    engine.save(checkpoint, {"epoch": 7})
    dist.barrier()
    losses += steps(engine, [2, 3])
    weights = engine.full_weights()
    resumed = build(strategy)
    position = resumed.load(checkpoint)
    results[strategy] = {
        "losses": losses,
        "resumed": steps(resumed, [2, 3]),
        "epoch": position["epoch"],
        "weights": {name: value.tolist() for name, value in weights.items()},
        "resumed_weights": {name: value.tolist() for name, value in resumed.full_weights().items()},
    }
if rank == 0:
    (folder / "results.json").write_text(json.dumps(results))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("engine")
    (folder / "worker.py").write_text(WORKER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, str(folder / "worker.py"), str(folder)],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=240)[0] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(outputs)[-3000:]
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("strategy", ["ddp", "zero1", "zero2", "zero3"])
def test_resuming_takes_exactly_the_steps_of_the_uninterrupted_run(results: dict, strategy: str) -> None:
    found = results[strategy]
    assert found["epoch"] == 7
    assert found["resumed"] == found["losses"][2:]
    assert found["resumed_weights"] == found["weights"]


@pytest.mark.parametrize("strategy", ["zero1", "zero2", "zero3"])
def test_every_strategy_takes_the_same_steps(results: dict, strategy: str) -> None:
    torch.testing.assert_close(torch.tensor(results[strategy]["losses"]), torch.tensor(results["ddp"]["losses"]))
    for name, value in results["ddp"]["weights"].items():
        torch.testing.assert_close(torch.tensor(results[strategy]["weights"][name]), torch.tensor(value))


def test_zero_needs_a_process_group() -> None:
    from jobs.engine import make_engine

    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    script = "needs a process group; a run in one process without Ray Train uses ddp"
    with pytest.raises(ValueError, match=script):
        make_engine(module, optimizer, strategy="zero1", rank_batch=1, clip=1.0, bf16=False)
