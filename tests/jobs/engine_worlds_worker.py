"""Run by test_engine_worlds.py on one to four ranks: a small segmenter with its criterion, all strategies in turn.

The segmenter's batch norms are replaced by group norms: statistics of a rank's own batch depend on how the images are
split, and so would the losses.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.checkpoint import checkpoint

from jobs.engine import Engine, Strategy, make_engine
from pading.segmenter.criterion import criterion
from pading.segmenter.initialisation import initialise
from pading.segmenter.optimisation import OptimiserConfig, adamw
from pading.segmenter.segmenter import Segmenter, SegmenterConfig
from pading.segmenter.targets import targets_from_batch

STRATEGIES: tuple[Strategy, ...] = ("ddp", "zero1", "zero2", "zero3")
NUM_CLASSES = 6
CONFIG = SegmenterConfig(
    backbone_channels=(16, 16), backbone_blocks=(1, 1), width=16, queries=6, decoder_layers=2, heads=2
)


def group_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(2, child.num_features))
        else:
            group_norms(child)


def small_segmenter(seed: int) -> Segmenter:
    segmenter = Segmenter(CONFIG, NUM_CLASSES)
    group_norms(segmenter)
    initialise(segmenter, torch.Generator().manual_seed(seed))
    segmenter.mask_decoder.level.requires_grad_(False)
    segmenter.register_buffer("marker", torch.full((2,), float(seed)))
    return segmenter


def build(
    strategy: Strategy, images: int, accumulation: int, *, seed: int = 0, resume_from: Path | None = None
) -> Engine:
    return wrap(small_segmenter(seed), strategy, images, accumulation, resume_from)


def wrap(
    segmenter: Segmenter, strategy: Strategy, images: int, accumulation: int, resume_from: Path | None = None
) -> Engine:
    return make_engine(
        segmenter,
        adamw(segmenter, OptimiserConfig(learning_rate=1e-3, backbone_factor=0.1)),
        strategy=strategy,
        rank_batch=images // dist.get_world_size(),
        clip=0.5,
        bf16=False,
        accumulation=accumulation,
        resume_from=resume_from,
    )


def steps(engine: Engine, numbers: range, images: int, accumulation: int) -> list[float]:
    """Take steps on this rank's share of the same global batches and return the losses of the whole steps."""
    rank, world = dist.get_rank(), dist.get_world_size()
    losses = []
    for number in numbers:
        source = torch.Generator().manual_seed(number)
        pictures = torch.randint(0, 256, (images, 3, 16, 16), generator=source, dtype=torch.uint8)
        maps = torch.randint(0, 4, (images, 4, 4), generator=source, dtype=torch.uint8)
        maps = maps.repeat_interleave(4, 1).repeat_interleave(4, 2)
        classes = torch.randint(0, NUM_CLASSES, (images, 3), generator=source)
        classes[::3, 2] = -1  # images have different numbers of segments
        maps[::3][maps[::3] == 3] = 0
        num_masks = (classes >= 0).sum() / (world * accumulation)
        total = torch.zeros(())
        for part in torch.arange(images).chunk(world * accumulation)[rank::world]:
            targets = targets_from_batch(maps[part][:, None], classes[part], part)
            loss = torch.stack(list(criterion(engine.model(pictures[part]), targets, num_masks).values())).sum()
            engine.backward(loss)
            total += loss.detach() / accumulation
        engine.step(1.0)
        dist.all_reduce(total)
        losses.append(total.item() / world)
    return losses


def split(folder: Path) -> dict:
    """Ten steps of eight images, by one and two micro-batches."""
    return {
        f"{strategy}/{accumulation}": steps(build(strategy, 8, accumulation), range(10), 8, accumulation)
        for strategy in STRATEGIES
        for accumulation in (1, 2)
    }


def save(folder: Path) -> dict:
    """Three steps of twelve images, a checkpoint, and six further steps that a resumed run must repeat."""
    found = {}
    for strategy in STRATEGIES:
        engine = build(strategy, 12, 2)
        steps(engine, range(3), 12, 2)
        write(engine, folder / strategy, 3)
        found[strategy] = {"losses": steps(engine, range(3, 9), 12, 2), **summary(engine)}
    return found


def resume(folder: Path) -> dict:
    """Go on for three steps from where another number of ranks stopped, from other first weights."""
    found = {}
    for strategy in STRATEGIES:
        started = time.perf_counter()
        engine = build(strategy, 12, 2, seed=1, resume_from=folder / strategy)
        first = engine.load(folder / strategy)["step"]
        seconds = time.perf_counter() - started
        losses = steps(engine, range(first, first + 3), 12, 2)
        dist.barrier()
        write(engine, folder / strategy, first + 3)
        found[strategy] = {"losses": losses, "seconds": seconds, **summary(engine)}
    return found


def refuse(folder: Path) -> dict:
    """Return what is told where a checkpoint of another number of ranks cannot be resumed from."""
    found: dict[str, str] = {}

    def told(name: str, act) -> None:
        try:
            act()
        except ValueError as error:
            found[name] = str(error)

    told("unannounced", lambda: build("zero1", 12, 1).load(folder / "zero1"))
    shards = folder / "zero2" / "zero"
    damaged = next(shards.glob("*rank_0_*_optim_states.pt"))
    dist.barrier()
    if dist.get_rank() == 0:
        damaged.write_bytes(b"not a checkpoint")
    dist.barrier()
    told("damaged", lambda: build("zero2", 12, 1, resume_from=folder / "zero2").load(folder / "zero2"))
    if dist.get_rank() == 0:
        damaged.unlink()
    dist.barrier()
    told("shard missing", lambda: build("zero2", 12, 1, resume_from=folder / "zero2"))
    return found


def refuse_small_group(folder: Path) -> dict:
    """Return what a parameter group smaller than the number of ranks is told when it comes from one rank."""
    module = nn.Linear(8, 64)
    module.register_parameter("temperature", nn.Parameter(torch.ones(1)))
    groups = [{"params": [module.weight, module.bias]}, {"params": [module.temperature]}]
    try:
        make_engine(
            module,
            torch.optim.AdamW(groups),
            strategy="zero1",
            rank_batch=1,
            clip=1.0,
            bf16=False,
            resume_from=folder / "zero1",
        )
    except ValueError as error:
        return {"small group": str(error)}
    return {}


def compose(folder: Path) -> dict:
    """Three steps with a compiled, a checkpointed and a channels-last part; and how often each was truly so."""
    found: dict = {"backbone calls": 0}

    def counted(whole, features):
        found["backbone calls"] += 1
        return whole(features)

    for strategy in STRATEGIES:
        for kind in ("plain", "compiled", "checkpointed", "channels_last"):
            segmenter = small_segmenter(0)
            if kind == "compiled":
                segmenter.pixel_decoder.compile(backend="aot_eager")
            elif kind == "checkpointed":
                whole = partial(counted, segmenter.backbone.forward)
                segmenter.backbone.forward = partial(checkpoint, whole, use_reentrant=False)
            elif kind == "channels_last":
                segmenter.to(memory_format=torch.channels_last)
            found[f"{strategy}/{kind}"] = steps(wrap(segmenter, strategy, 4, 1), range(3), 4, 1)
    found["graphs"] = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    return found


def write(engine: Engine, folder: Path, step: int) -> None:
    folder.mkdir(exist_ok=True)
    for path in [path for path in folder.rglob("*") if path.is_file() and dist.get_rank() == 0]:
        path.unlink()
    dist.barrier()
    engine.save(folder, {"step": step})


def summary(engine: Engine) -> dict:
    weights = engine.full_weights()
    # The bias of a key shifts all logits of a softmax alike: its gradient is rounding, and Adam makes steps of it.
    felt = {name: tensor for name, tensor in weights.items() if not name.endswith("key.bias")}
    return {
        "weights": {name: tensor.double().norm().item() for name, tensor in felt.items()},
        "frozen": weights["mask_decoder.level.weight"].tolist(),
        "marker": weights["marker"].tolist(),
    }


def main(folder: Path, *tasks: str) -> None:
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    for task in tasks:
        act = {
            "split": split,
            "save": save,
            "resume": resume,
            "refuse": refuse,
            "refuse_small_group": refuse_small_group,
            "compose": compose,
        }[task]
        results = act(folder)
        if dist.get_rank() == 0:
            (folder / f"{task}-{dist.get_world_size()}.json").write_text(json.dumps(results))
        dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
    sys.stdout.flush()
    os._exit(0)  # the work is done; ending the threads of gloo and the profiler now and then aborts the process
