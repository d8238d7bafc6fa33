"""Where a training step of the tiny segmenter spends its time: 32 images of 96 px on two cores, bfloat16 convolutions.

Two processes of one thread take 16 images each at once, as the demo trains, without exchanging gradients (3 MB).
The peer is the prototype that this segmenter replaces, a mask transformer of the same width, queries, layers and
losses: 0.35 s a step on two cores, a figure noted down then and not measured again here.
"""

import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch

from pading.segmenter.criterion import CriterionConfig, criterion
from pading.segmenter.initialisation import initialise
from pading.segmenter.matcher import match
from pading.segmenter.optimisation import OptimiserConfig, adamw
from pading.segmenter.segmenter import Segmenter, tiny
from pading.segmenter.targets import targets_from_batch

WORKERS, BATCH, SIDE_PX, NUM_CLASSES, MAX_SEGMENTS = 2, 16, 96, 33, 24
WARMUP_STEPS, STEPS = 3, 20
PEER_S = 0.35
PARTS = ("forward", "targets", "match", "loss", "backward", "optimizer")


def main() -> None:
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        parts = max(pool.map(_train, range(WORKERS)), key=sum)
    size = sum(p.numel() for p in Segmenter(tiny(), NUM_CLASSES).parameters())
    print(
        f"{size / 1e6:.2f} M parameters, {WORKERS} processes x {BATCH} images of {SIDE_PX} px, "
        f"fastest of {STEPS} steps of the slower process"
    )
    for name, seconds in zip(PARTS, parts, strict=True):
        print(f"{name:10} {1000 * seconds:8.1f} ms")
    ours = sum(parts)
    print(f"{'step':10} {1000 * ours:8.1f} ms   (peer: the prototype, {1000 * PEER_S:.0f} ms)")
    print(json.dumps({"benchmark": "segmenter_step", "ours": ours, "peer": PEER_S, "ratio": PEER_S / ours}))


def _train(worker: int) -> list[float]:
    """Return the seconds of each part of the step that other work on the machine disturbed least."""
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(worker)
    segmenter = initialise(Segmenter(tiny(), NUM_CLASSES), random)
    optimizer = adamw(segmenter, OptimiserConfig())
    images, label_maps, classes = _batch(random)
    times = [_step(segmenter, optimizer, images, label_maps, classes) for _ in range(WARMUP_STEPS + STEPS)]
    return min(times[WARMUP_STEPS:], key=sum)


def _step(segmenter, optimizer, images, label_maps, classes) -> list[float]:
    clock = [time.perf_counter()]
    with torch.autocast("cpu", torch.bfloat16):
        predictions = segmenter(images)
    clock.append(time.perf_counter())
    targets = targets_from_batch(label_maps, classes)
    clock.append(time.perf_counter())
    layers = [[getattr(p, name) for p in predictions] for name in ("class_logits", "mask_logits")]
    match(torch.stack(layers[0]), torch.stack(layers[1]), targets, CriterionConfig().weights)
    clock.append(time.perf_counter())
    loss = sum(criterion(predictions, targets, targets.num_masks).values())
    clock.append(time.perf_counter())
    optimizer.zero_grad()
    loss.backward()
    clock.append(time.perf_counter())
    torch.nn.utils.clip_grad_norm_(segmenter.parameters(), 1.0)
    optimizer.step()
    clock.append(time.perf_counter())
    parts = np.diff(clock)
    parts[PARTS.index("loss")] -= parts[PARTS.index("match")]  # the criterion matches once more by itself
    return parts.tolist()


def _batch(random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return images of noise with seven blocky segments each, the number that a scene of the shapes world has."""
    images = torch.randint(0, 256, (BATCH, 3, SIDE_PX, SIDE_PX), generator=random, dtype=torch.uint8)
    labels = torch.randint(1, 8, (BATCH, SIDE_PX // 16, SIDE_PX // 16), generator=random, dtype=torch.uint8)
    label_maps = labels.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)[:, None]  # one layer
    classes = torch.full((BATCH, MAX_SEGMENTS), -1)
    classes[:, :7] = torch.randint(0, NUM_CLASSES, (BATCH, 7), generator=random)
    return images, label_maps, classes


if __name__ == "__main__":
    main()
