"""A step of the generator's fit beside the equations written down plainly, at PADing's sizes.

400 primitives, features of width 256, CLIP text of width 512, 31 classes of 3 rows (the 92 matched queries of a batch,
rounded), six bandwidths, Adam. Ours is `fit_generator` itself. The peers call `torch.cdist` for each bandwidth and each
pair of samples; they differ in how their rows attend (`PlainGenerator`), "row" is the one that the result is for. All
start from the same weights, see the same rows and the same noise, and must show the same losses for ten steps, and the
same parameters after them.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks._plain_generator import Layout, PlainGenerator, plain_fit
from pading.classes import ClassTable
from pading.randomness import generator_for
from pading.zeroshot.features import Features
from pading.zeroshot.fit_generator import GeneratorFitConfig, Structure, fit_generator
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.structure import StructureConfig

CLASSES, UNSEEN, WIDTH, TEXT_WIDTH, ROWS = 133, 14, 256, 512, 12_000
PAPER_STEPS = 20_000
TOLERANCE = 1e-5
SEED = 0
PEERS: tuple[Layout, ...] = ("row", "repeated", "sequence")
# Eq. (3) as printed, over all rows of a step; eq. (6) between rows.
PAPER = GeneratorFitConfig(
    mmd="pooled",
    estimator="biased",
    bandwidth_scale="width",
    bandwidth_factor=1.0,
    learning_rate=5e-4,
    structure=StructureConfig(relate="rows", is_centred=False),
    classes_per_step=31,
    rows_per_class=3,
)
OBJECTIVES: dict[str, Structure] = {"L_G": "none", "L_G + L_A + L_D": "related"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks generator_step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20, help="steps of a timed block")
    parser.add_argument("--blocks", type=int, default=5, help="timed blocks of each, the fastest counts")
    arguments = parser.parse_args(sys.argv[2:])
    torch.set_num_threads(arguments.threads)
    world = World(arguments.device)
    print(f"{arguments.device}, {arguments.threads} threads; same losses and parameters for 10 steps, to {TOLERANCE}")
    print(
        f"{'objective':18}{'':10}{'steps/s':>9}{'times':>7}{'CPU ms/step':>13}{'times':>7}{f'{PAPER_STEPS} steps':>14}"
    )
    found: dict[str, dict[str, Cost]] = {}
    for objective, structure in OBJECTIVES.items():
        require_equal(world, structure)
        costs = found[objective] = cost_of_a_step(world, structure, arguments.steps, arguments.blocks)
        for who, cost in costs.items():
            slower, more = cost.wall_s / costs["ours"].wall_s, cost.cpu_s / costs["ours"].cpu_s
            print(
                f"{objective:18}{who:10}{1 / cost.wall_s:9.1f}{slower:7.1f}{1000 * cost.cpu_s:13.2f}{more:7.1f}"
                f"{PAPER_STEPS * cost.wall_s:12.0f} s"
            )
    ours, peer = found["L_G"]["ours"].wall_s, found["L_G"]["row"].wall_s
    line = {"benchmark": "generator_step", "ratio": peer / ours, "ours": 1 / ours, "peer": 1 / peer, "unit": "steps/s"}
    for objective, costs in found.items():
        line |= {f"ratio of {objective}, {who}": costs[who].wall_s / costs["ours"].wall_s for who in PEERS}
    print(json.dumps(line))


class Cost(NamedTuple):
    """Seconds of a step, by the clock and of all threads together."""

    wall_s: float
    cpu_s: float


class World:
    """Features and texts of the paper's sizes; what is in them does not matter for a step's time."""

    def __init__(self, device: str) -> None:
        random = torch.Generator().manual_seed(0)
        labels = torch.randint(UNSEEN, CLASSES, (ROWS,), generator=random)
        centres = torch.randn(CLASSES, WIDTH, generator=random)
        rows = F.layer_norm(centres[labels] + 0.5 * torch.randn(ROWS, WIDTH, generator=random), (WIDTH,))
        self.features = Features(rows.to(device), labels.to(device), torch.arange(ROWS, device=device))
        self.text = F.normalize(torch.randn(CLASSES, TEXT_WIDTH, generator=random), dim=1).to(device)
        self.classes = ClassTable(
            name="sizes of 119/14",
            names=tuple(f"class {index}" for index in range(CLASSES)),
            coco_ids=tuple(range(1, CLASSES + 1)),
            is_thing=(True,) * CLASSES,
            is_seen=tuple(index >= UNSEEN for index in range(CLASSES)),
        )

    def start(
        self, who: Literal["ours"] | Layout, structure: Structure, config: GeneratorFitConfig
    ) -> tuple[nn.Module, Iterator[dict[str, float]]]:
        """Return a generator with the weights that all have, and its fit, which yields after every report's steps."""
        form = PrimitiveConfig(attention_temperature=1.0, hidden=0, dropout=0.0)  # eq. (1)-(2)
        model = PrimitiveGenerator(form, TEXT_WIDTH, WIDTH, generator_for(SEED, "generator weights"))
        model = model.to(self.features.embeddings.device)
        if who == "ours":
            return model, fit_generator(model, structure, config, self.features, self.text, self.classes, SEED)
        plain = PlainGenerator(model, who)
        return plain, plain_fit(plain, structure, config, self.features, self.text, self.classes, SEED)


def require_equal(world: World, structure: Structure) -> None:
    """Check that all fits do the same, by the losses of ten steps and the parameters after them."""
    config = replace(PAPER, steps=10, report_every=1)
    found = {}
    for who in ("ours", *PEERS):
        model, fit = world.start(who, structure, config)
        losses = torch.tensor([metrics["loss"] for metrics in fit])
        found[who] = losses, {name: value.detach() for name, value in model.named_parameters()}
    for who in PEERS:
        torch.testing.assert_close(found["ours"][0], found[who][0], rtol=TOLERANCE, atol=0, msg=named(who, "loss"))
        for name, value in found["ours"][1].items():
            torch.testing.assert_close(value, found[who][1][name], rtol=TOLERANCE, atol=TOLERANCE, msg=named(who, name))


def named(who: str, name: str):
    return lambda message: f"{who} differs from ours in {name}: {message}"


def cost_of_a_step(world: World, structure: Structure, steps: int, blocks: int) -> dict[str, Cost]:
    """Return the cost of a step of each in its fastest block; blocks alternate."""
    config = replace(PAPER, steps=(1 + blocks) * steps, report_every=steps)
    fits = {who: world.start(who, structure, config)[1] for who in ("ours", *PEERS)}
    costs: dict[str, list[Cost]] = {who: [] for who in fits}
    for block in range(1 + blocks):
        for who, fit in fits.items():
            if who == "repeated" and block > 1:  # so much slower that one block says it
                continue
            wall, cpu = time.perf_counter(), time.process_time()
            next(fit)
            costs[who].append(Cost((time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps))
    return {
        who: Cost(min(cost.wall_s for cost in timed[1:]), min(cost.cpu_s for cost in timed[1:]))  # the first warms up
        for who, timed in costs.items()
    }


if __name__ == "__main__":
    main()
