"""What an image costs one core in each stage, and how many operations its networks take, measured here and now.

Photos are scenes of the shapes world at 480 x 640, or those of a COCO folder; networks are those of the COCO presets
(Mask2Former with a ResNet-50, a ViT-B/32 of CLIP) with random weights, which change no time.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from pyarrow.fs import LocalFileSystem
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._regions_world import OBJECTNESS, made_up
from benchmarks.image_branch import pruned_and_batched, random_clip
from benchmarks.segmenter_step import PAIRS, Ours
from benchmarks.sweep_cost import BLOCK_STEPS, HOLDOUTS, SIZES, CachedFit
from jobs.clip_tower import image_tower
from jobs.stream import pack_steps
from pading.classes import ClassTable
from pading.data.sample import Segment
from pading.data.shards.audit import audit_row
from pading.data.shards.rows import ROWS_PER_GROUP, decode_row, encode_row, read_row_group, read_rows, write_shard
from pading.data.views.batch import Batch, batch_arrays
from pading.data.views.jitter import JitterConfig, draw_view
from pading.evaluate.extract import matched_features, predict_samples
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction, write_predictions
from pading.evaluate.row_scores import Asked
from pading.evaluate.scorer import Scorer
from pading.evaluate.scoring_pass import score_images
from pading.regions.pruning import worth_encoding
from pading.zeroshot.features import write_features

IMAGES, SIDE_PX, ROWS, NEGLIGIBLE = 32, 512, 8, 0.02
JITTER = JitterConfig(mode="large-scale")


@dataclass(frozen=True, kw_only=True)
class ImageCosts:
    """Seconds of one core, operations and bytes of an image."""

    seconds: dict[str, float]
    flops: dict[str, float]
    num_bytes: dict[str, float]


def measured(rows: Callable[[], Iterator[dict]], classes: ClassTable) -> ImageCosts:
    """Measure every stage on rows of shards."""
    seconds: dict[str, float] = {}
    flops: dict[str, float] = {}
    num_bytes: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shard = folder / "part.parquet"
        kept = list(rows())
        write_shard(shard, kept)
        num_bytes["shard"] = shard.stat().st_size / len(kept)
        seconds["shard"] = fastest(lambda: shard_again(kept, folder / "again.parquet")) / len(kept)
        seconds["read"] = fastest(lambda: read_steps(shard, len(kept))) / len(kept)
        seconds["audit"] = fastest(lambda: [audit_row(row, classes) for row in read_rows(shard)]) / len(kept)
        seconds["decode"] = fastest(lambda: training_batch(kept)) / len(kept)
        of_network(kept, folder, seconds, flops, num_bytes)
    of_regions(seconds, flops)
    of_scoring(seconds)
    of_fits(seconds)
    return ImageCosts(seconds=seconds, flops=flops, num_bytes=num_bytes)


def fastest(work: Callable[[], object], times: int = 3) -> float:
    """Return the CPU seconds of this process in the quickest of some repetitions; the first warms up."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent[1:])


def shard_again(rows: list[dict], file: Path) -> None:
    """Decode photos and labels, encode and write them, as the stage `shard` does."""
    write_shard(file, (encode_row(row["image"], decode_row(row)) for row in rows))


def read_steps(shard: Path, num_rows: int) -> None:
    """Read row groups and pack them as the training stream does."""
    for group in range(num_rows // ROWS_PER_GROUP):
        pack_steps(0, [read_row_group(LocalFileSystem(), str(shard), group)])


def training_batch(rows: list[dict]) -> Batch:
    """Decode photos and labels into jittered views of the network's size."""
    draws = np.random.default_rng(0)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    views = [draw_view(JITTER, row["height"], row["width"], SIDE_PX, draws) for row in rows]
    return Batch.from_arrays(batch_arrays(columns, views, SIDE_PX, 100, has_background=False))


def of_network(
    rows: list[dict], folder: Path, seconds: dict[str, float], flops: dict[str, float], num_bytes: dict[str, float]
) -> None:
    """Measure a training step and what the cache takes of one image."""
    pair = next(pair for pair in PAIRS if pair.name.startswith("R50, 512"))
    runner = Ours(pair)
    seconds["train"] = fastest(runner.step, 2) / pair.batch
    with FlopCounterMode(display=False) as counter:
        runner.step()
    flops["train"] = counter.get_total_flops() / pair.batch
    segmenter = runner.model.eval()
    images = runner.images
    with torch.inference_mode():
        seconds["forward"] = fastest(lambda: segmenter(images), 2) / pair.batch
    with FlopCounterMode(display=False) as counter:  # it follows gradients, so that there must be some
        segmenter(images)
    flops["forward"] = counter.get_total_flops() / pair.batch
    num_bytes["weights"] = sum(4.0 * parameter.numel() for parameter in segmenter.parameters())

    batch = training_batch(rows[:1])
    seconds["features"] = fastest(lambda: matched_features(segmenter, batch, 4, 0), 2)
    write_features(folder / "features.parquet", matched_features(segmenter, batch, 4, 0))
    num_bytes["features"] = (folder / "features.parquet").stat().st_size
    predictions = predict_samples(segmenter, [decode_row(rows[0])], SIDE_PX)
    write_predictions(folder / "predictions.parquet", predictions)
    num_bytes["predictions"] = (folder / "predictions.parquet").stat().st_size


def of_regions(seconds: dict[str, float], flops: dict[str, float]) -> None:
    """Measure the image branch on made-up queries, of which a fifth or so matter."""
    world, clip = made_up(2, OBJECTNESS), random_clip("ViT-B-32")
    tower = image_tower(clip)
    is_chosen = [worth_encoding(logits, NEGLIGIBLE) for logits in world.head_logits]
    seconds["regions"] = fastest(lambda: pruned_and_batched(world, tower, is_chosen), 2) / len(is_chosen)
    with FlopCounterMode(display=False) as counter:
        clip.model.encode_image(torch.zeros(1, 3, tower.side_px, tower.side_px))
    flops["regions"] = counter.get_total_flops() * float(np.mean([which.sum() for which in is_chosen]))


def of_scoring(seconds: dict[str, float]) -> None:
    """Measure panoptic scores on made-up predictions with their own regions as truth: once, and for each row more."""
    world = made_up(2, OBJECTNESS)
    images = [with_truth(image) for image in world.predictions]
    logits = {image.image_id: of_image for image, of_image in zip(images, world.head_logits, strict=True)}

    def scorer(number: int) -> Scorer:
        bonus = torch.linspace(0, 0.1 * number, logits[0].shape[1])  # rows differ, a little
        return Scorer(
            name=str(number),
            classify=lambda image: (logits[image.image_id] + bonus).softmax(dim=1),
            inference=InferenceConfig(),
        )

    def spent(num_rows: int) -> float:
        scorers = [scorer(number) for number in range(num_rows)]
        return fastest(lambda: score_images(iter(images), scorers, world.classes, Asked(tasks=("panoptic",))), 2)

    one, several = spent(1), spent(ROWS)
    seconds["score row"] = (several - one) / (ROWS - 1) / len(images)
    seconds["score image"] = one / len(images) - seconds["score row"]


def with_truth(image: ImagePrediction) -> ImagePrediction:
    """Return a made-up prediction whose truth are the masks of its sure queries."""
    owner = image.mask_logits[:12].argmax(axis=0).astype(np.uint16)
    labels = owner.repeat(4, axis=0).repeat(4, axis=1)[: image.height, : image.width] + 1
    areas = np.bincount(labels.ravel(), minlength=13)[1:].tolist()
    segments = tuple(
        Segment(segment_id=number + 1, class_index=number, is_crowd=False, area_px=area)
        for number, area in enumerate(areas)
    )
    return replace(image, label_maps=labels[None].astype(np.uint16), segments=segments)


def of_fits(seconds: dict[str, float]) -> None:
    """Measure a fit of the row `pading` under the profile `best`, on as many features as COCO gives."""
    fit = CachedFit(SIZES[1], "best", 1)
    step = fastest(fit.block, 2) / BLOCK_STEPS
    seconds["fit"] = fit.config.generator.steps * step + fit.head_seconds()
    seconds["trial"] = HOLDOUTS * seconds["fit"]
