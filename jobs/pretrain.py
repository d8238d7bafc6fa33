"""Stage `pretrain`: shards -> segmenter weights, streamed by Ray Data into Ray Train workers that step by `engine`.

A checkpoint is taken every `N // batch_size` steps, here called an epoch. What a step sees is a function of seed and
step (`stream.py`), so a run that was killed and resumed takes the same steps as one that was not.
"""

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import ray.train
import ray.train.v2._internal.execution.context
import torch
import torch.distributed as dist
from ray.train.torch import TorchConfig, TorchTrainer
from torch import Tensor

from cluster.session import connect
from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.engine import Engine, make_engine
from jobs.initial_weights import initial_segmenter, staged_start
from jobs.progress import Progress, say
from jobs.shard import audited_training_shards, shard_classes, shard_folder
from jobs.stream import Shards, StreamConfig, training_batches
from pading.classes import ClassTable
from pading.config import from_plain, to_plain
from pading.data.views.batch import Batch
from pading.segmenter.criterion import criterion
from pading.segmenter.optimisation import adamw, learning_rate_factor
from pading.segmenter.pretrained import write_papers
from pading.segmenter.segmenter import Segmenter
from pading.segmenter.targets import targets_from_batch
from pading.segmenter.weights import save_segmenter

FINAL = "segmenter"  # folder of plain weights inside the last checkpoint
START = "start"  # folder of the weights to start from, in the stage's work


def pretrain(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Train the segmenter on seen classes and write its plain weights, class table and provenance.

    Raises:
        FileNotFoundError: if a shard or its audit is missing.
        OSError: if the weights to start from are not there.
        ValueError: if the shards are not those that the leak audit found clean, or are fewer images than one batch, or
            the weights to start from are unreadable or of another architecture.
    """
    connect()
    index = audited_training_shards(config, run_dir)
    steps_per_epoch = index.num_images // config.pretrain.batch_size
    if steps_per_epoch == 0:
        raise ValueError(
            f"{index.num_images} training images make no batch of {config.pretrain.batch_size}; "
            "lower --pretrain.batch-size or give more images"
        )
    say(f"  {index.num_images} images, {steps_per_epoch} steps an epoch, {config.pretrain.epochs} epochs")
    classes = shard_classes(run_dir)
    config, provenance = staged_start(config, classes, run_dir.work("pretrain") / START)
    settings = {
        "config": to_plain(config),
        "classes": classes.to_json(),
        "shards": Shards.of(shard_folder(config, run_dir, "train"), index),
        "steps_per_epoch": steps_per_epoch,
    }
    result = TorchTrainer(
        train_worker,
        train_loop_config=settings,
        torch_config=TorchConfig(backend="nccl" if torch.cuda.is_available() else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.pretrain.workers,
            use_gpu=torch.cuda.is_available(),
            resources_per_worker={"CPU": config.pretrain.cpus_per_worker},
        ),
        run_config=ray.train.RunConfig(
            name="pretrain",
            storage_path=str(run_dir.work("pretrain").resolve()),
            failure_config=ray.train.FailureConfig(max_failures=config.pretrain.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),
        ),
    ).fit()
    with result.checkpoint.as_directory() as checkpoint:
        for path in (Path(checkpoint) / FINAL).iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
    write_papers(folder, classes, provenance)
    return {"images": index.num_images, "steps": steps_per_epoch * config.pretrain.epochs, **result.metrics}


def train_worker(settings: dict[str, Any]) -> None:
    """Train on one rank: restore, then epoch by epoch step, save and report."""
    # Ray names this logger by its file, out of reach of LoggingConfig: each report would be a line of each rank.
    logging.getLogger(ray.train.v2._internal.execution.context.__file__).setLevel(logging.WARNING)
    config = from_plain(PipelineConfig, settings["config"])
    torch.set_num_threads(config.pretrain.threads_per_worker)
    engine, segmenter = build_engine(config, ClassTable.from_json(settings["classes"]))
    first_epoch = 0
    if checkpoint := ray.train.get_checkpoint():
        with checkpoint.as_directory() as folder:
            first_epoch = engine.load(Path(folder))["epoch"]
    steps, epochs = settings["steps_per_epoch"], config.pretrain.epochs
    progress = Progress("pretrain", epochs * steps, every_s=15.0)
    context = ray.train.get_context()
    share = (context.get_world_rank(), context.get_world_size())
    stream = training_batches(StreamConfig.of(config), settings["shards"], first_epoch * steps, epochs * steps, *share)
    with closing(stream):
        for epoch in range(first_epoch, epochs):
            metrics = train_epoch(engine, config, islice(stream, steps), steps, progress)
            with tempfile.TemporaryDirectory() as name:
                engine.save(Path(name), {"epoch": epoch + 1})
                if epoch + 1 == epochs:
                    save_final(engine, segmenter, Path(name) / FINAL)
                ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(name))


def build_engine(config: PipelineConfig, classes: ClassTable) -> tuple[Engine, Segmenter]:
    """Return an engine around a segmenter before its first step."""
    segmenter, _ = initial_segmenter(config, classes)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    segmenter.to(device)
    settings = config.pretrain
    optimizer = adamw(segmenter, settings.optimiser)
    engine = make_engine(
        segmenter,
        optimizer,
        strategy=settings.strategy,
        rank_batch=settings.batch_size // max(settings.workers, 1),
        clip=settings.clip,
        bf16=settings.bf16,
    )
    return engine, segmenter


def train_epoch(
    engine: Engine, config: PipelineConfig, batches: Iterator[tuple[int, Batch]], steps: int, progress: Progress
) -> dict[str, float]:
    """Take one epoch's steps and return the mean of each loss.

    The progress line says how long a step of the epoch waited for its batch, in the mean: 0 where the stream keeps up.
    """
    is_first_rank = ray.train.get_context().get_world_rank() == 0
    device = next(engine.model.parameters()).device
    schedule = config.pretrain.schedule_over(steps)
    sums: dict[str, float] = {}
    waited_s = 0.0
    for taken in range(1, steps + 1):
        start = time.perf_counter()
        step, batch = next(batches)
        waited_s += time.perf_counter() - start
        batch = batch.to(device)
        targets = targets_from_batch(batch.label_maps, batch.classes, batch.image_ids)
        num_masks = mean_over_ranks(targets.num_masks.float())
        losses = criterion(engine.model(batch.images), targets, num_masks, config.pretrain.criterion, draws)
        loss = torch.stack(list(losses.values())).sum()
        engine.backward(loss)
        engine.step(learning_rate_factor(step, schedule))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item() / steps
        if is_first_rank:
            waited = f"waited {waited_s / taken:.2g} s a step for data"
            progress.update(step + 1, f"epoch {step // steps + 1}, loss {loss.item():.3f}, {waited}")
    return sums


def mean_over_ranks(value: Tensor) -> Tensor:
    """Return a value averaged over the ranks; normalised by it, the mean of all gradients is the global batch's."""
    if dist.is_initialized():
        dist.all_reduce(value)
        value = value / dist.get_world_size()
    return value


def save_final(engine: Engine, segmenter: Segmenter, folder: Path) -> None:
    """Write the whole model's plain weights from rank 0."""
    weights = engine.full_weights()
    if ray.train.get_context().get_world_rank() == 0:
        plain = Segmenter(segmenter.config, segmenter.num_classes)
        plain.load_state_dict(weights)
        save_segmenter(folder, plain)
