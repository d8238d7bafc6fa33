"""Run by test_engine.py on two ranks: all strategies in turn, for starting Python twice is the costly part."""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from jobs.engine import Engine, Strategy, make_engine
from jobs.timing import Stopwatch

STRATEGIES: tuple[Strategy, ...] = ("ddp", "zero1", "zero2", "zero3")
ROWS = 8  # of a rank in a step


class Network(nn.Module):
    """Something of everything that a checkpoint must keep: groups, a frozen layer, buffers of two kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.batch_norm = nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16)
        self.frozen = nn.Linear(16, 16).requires_grad_(False)
        self.norm, self.last = nn.LayerNorm(16), nn.Linear(16, 4)
        self.register_buffer("marker", torch.randn(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.frozen(self.batch_norm(self.first(x)).relu())))


def build(
    strategy: Strategy,
    *,
    seed: int = 3,
    accumulation: int = 1,
    sgd_rate: float = 0.0,
    stopwatch: Stopwatch | None = None,
) -> Engine:
    torch.manual_seed(seed)
    module = Network()
    groups = [
        {"params": [*module.first.parameters(), *module.last.parameters()], "lr": 1e-2, "weight_decay": 0.1},
        {"params": [*module.batch_norm.parameters(), *module.norm.parameters()], "lr": 3e-3, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, fused=True)
    clip = 0.5
    if sgd_rate:
        optimizer = torch.optim.SGD([p for group in groups for p in group["params"]], lr=sgd_rate)
        clip = 0.01
    return make_engine(
        module,
        optimizer,
        strategy=strategy,
        rank_batch=ROWS,
        clip=clip,
        bf16=False,
        accumulation=accumulation,
        stopwatch=stopwatch,
    )


def steps(engine: Engine, numbers: list[int], *, accumulation: int = 1) -> list[float]:
    """Take steps on this rank's own rows and return its losses."""
    losses = []
    for number in numbers:
        source = torch.Generator().manual_seed(100 * number + dist.get_rank())
        x, y = torch.randn(ROWS, 6, generator=source), torch.randn(ROWS, 4, generator=source)
        for rows, truth in zip(x.chunk(accumulation), y.chunk(accumulation), strict=True):
            loss = (engine.model(rows) - truth).square().mean()
            engine.backward(loss)
            losses.append(loss.item())
        engine.step(1.0 / (1 + number))
    return losses


def resume(strategy: Strategy, folder: Path, accumulation: int) -> dict:
    engine = build(strategy, accumulation=accumulation)
    losses = steps(engine, [0, 1], accumulation=accumulation)
    folder.mkdir(parents=True, exist_ok=True)
    dist.barrier()
    engine.save(folder, {"epoch": 7})
    losses += steps(engine, [2, 3], accumulation=accumulation)
    resumed = build(strategy, seed=4, accumulation=accumulation)  # other first weights: all must come from the files
    position = resumed.load(folder)
    return {
        "losses": losses,
        "resumed": steps(resumed, [2, 3], accumulation=accumulation),
        "epoch": position["epoch"],
        "weights": {name: value.tolist() for name, value in engine.full_weights().items()},
        "resumed_weights": {name: value.tolist() for name, value in resumed.full_weights().items()},
        "seconds": timed_step(strategy),
    }


def timed_step(strategy: Strategy) -> list[float]:
    stopwatch = Stopwatch()
    engine = build(strategy, stopwatch=stopwatch)
    steps(engine, [0])
    seconds = stopwatch.lap()
    return [seconds.forward, seconds.backward, seconds.optimizer]


def clipped(strategy: Strategy) -> dict:
    """Step once by plain gradient descent at rate 1: the move of the weights is the clipped gradient."""
    engine = build(strategy, sgd_rate=1.0)
    before = engine.full_weights()
    loss = engine.model(torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(dist.get_rank()))).square().mean()
    engine.backward(loss)
    norm = engine.step(1.0)
    parts = [engine.full_weights()[name] - before[name] for name in before if "." in name and "running" not in name]
    move = torch.cat([part.double().flatten() for part in parts if part.is_floating_point()])
    return {"norm": float(norm), "move": move.norm().item()}


def exchanges(strategy: Strategy, accumulation: int) -> int:
    """Return how many collectives the backward passes of one step start."""
    engine = build(strategy, accumulation=accumulation)
    steps(engine, [0], accumulation=accumulation)  # the first step also sets up
    rows = torch.randn(ROWS, 6).chunk(accumulation)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for part in rows:
            engine.backward(engine.model(part).square().mean())
    return sum(event.count for event in profile.key_averages() if event.key.startswith("gloo:"))


def refusals(strategy: Strategy, folder: Path) -> dict[str, str]:
    """Return what each misuse is told."""
    engine = build(strategy, accumulation=2)
    found = {}

    def told(name: str, act) -> None:
        try:
            act()
        except ValueError as error:
            found[name] = str(error)

    told("step too early", lambda: engine.step(1.0))
    for _ in range(2):
        loss = engine.model(torch.ones(4, 6)).mean()
        engine.backward(loss)
    told("a micro-batch too many", lambda: engine.backward(loss))
    engine.step(1.0)
    other = "zero2" if strategy == "zero1" else "zero1"
    told("another strategy", lambda: engine.load(folder / other))
    told("nothing there", lambda: engine.load(folder / "nowhere"))
    before = engine.full_weights()
    for _ in range(2):
        engine.backward(engine.model(torch.ones(4, 6)).mean() * float("inf"))
    told("not finite", lambda: engine.step(1.0))
    dist.barrier()
    if dist.get_rank() == 0:
        for path in [*(folder / strategy).rglob("*.pt")]:
            path.write_bytes(path.read_bytes()[:100])
    dist.barrier()
    told("damaged", lambda: build(strategy).load(folder / strategy))
    found["moved"] = str(any((engine.full_weights()[n] != before[n]).any() for n in ("first.weight", "last.bias")))
    return found


def main(folder: Path) -> None:
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    results = {
        strategy: {
            "plain": resume(strategy, folder / strategy, 1),
            "accumulated": resume(strategy, folder / "accumulated" / strategy, 2),
            "clipped": clipped(strategy),
            "exchanges": [exchanges(strategy, accumulation) for accumulation in (1, 2)],
        }
        for strategy in STRATEGIES
    }
    for strategy in STRATEGIES:
        results[strategy]["refusals"] = refusals(strategy, folder)
    if dist.get_rank() == 0:
        (folder / "results.json").write_text(json.dumps(results))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # the work is done; ending the threads of gloo and the profiler now and then aborts the process
