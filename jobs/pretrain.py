"""Stage `pretrain`: shards -> segmenter weights, streamed by Ray Data into Ray Train workers that step by `engine`.

A checkpoint is taken at the end of each epoch. Every draw is a function of (seed, epoch, step, rank) and the stream
keeps its order, so a run that was killed and resumed takes the same steps as one that was not.
"""

import logging
import tempfile
from pathlib import Path
from typing import Any

import ray.data
import ray.train
import ray.train.v2._internal.execution.context
import torch
import torch.distributed as dist
from ray.train.torch import TorchConfig, TorchTrainer
from torch import Tensor

from cluster.session import connect
from cluster.storage import RunDir
from jobs.engine import Engine, make_engine
from jobs.parquet import read_parquet
from jobs.presets import PipelineConfig
from jobs.progress import Progress, say
from jobs.shard import AUDIT_FILE, shard_classes, shard_files
from pading.classes import ClassTable
from pading.config import from_plain, to_plain
from pading.data.audit import LeakAudit
from pading.data.batch import Batch, augment, batch_arrays
from pading.randomness import derive_seed, generator_for
from pading.segmenter.criterion import criterion
from pading.segmenter.initialisation import initialise
from pading.segmenter.optimisation import adamw, learning_rate_factor
from pading.segmenter.segmenter import Segmenter
from pading.segmenter.targets import targets_from_batch
from pading.segmenter.weights import save_segmenter

FINAL = "segmenter"  # folder of plain weights inside the last checkpoint


def pretrain(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Train the segmenter on seen classes and write its plain weights.

    Raises:
        ValueError: if the shards' leak audit counts an unseen pixel, or an epoch has fewer images than one batch.
    """
    connect()
    classes = shard_classes(run_dir)
    audit = LeakAudit.from_json((run_dir.artefact("shards") / AUDIT_FILE).read_text())
    audit.check()
    steps_per_epoch = audit.num_images // config.pretrain.batch_size
    if steps_per_epoch == 0:
        raise ValueError(
            f"{audit.num_images} training images make no batch of {config.pretrain.batch_size}; "
            "lower --pretrain.batch-size or give more images"
        )
    say(f"  {audit.num_images} images, {steps_per_epoch} steps an epoch, {config.pretrain.epochs} epochs")
    settings = {
        "config": to_plain(config),
        "classes": classes.to_json(),
        "steps_per_epoch": steps_per_epoch,
    }
    result = TorchTrainer(
        train_worker,
        train_loop_config=settings,
        datasets={"train": training_stream(config, shard_files(run_dir, "train"))},
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
    return {"images": audit.num_images, "steps": steps_per_epoch * config.pretrain.epochs, **result.metrics}


def training_stream(config: PipelineConfig, files: list[Path]) -> ray.data.Dataset:
    """Return the stream of decoded, letterboxed images; bytes travel until this last map."""
    settings = {"size_px": config.data.input_px, "max_segments": config.data.max_segments}
    dataset = read_parquet(files).map_batches(batch_arrays, fn_kwargs=settings, batch_size=64, batch_format="numpy")
    return dataset.materialize() if config.pretrain.keep_decoded else dataset


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
    stream = ray.train.get_dataset_shard("train")
    steps = settings["steps_per_epoch"]
    progress = Progress("pretrain", config.pretrain.epochs * steps, every_s=15.0)
    for epoch in range(first_epoch, config.pretrain.epochs):
        metrics = train_epoch(engine, config, stream, epoch, steps, progress)
        with tempfile.TemporaryDirectory() as name:
            engine.save(Path(name), {"epoch": epoch + 1})
            if epoch + 1 == config.pretrain.epochs:
                save_final(engine, segmenter, Path(name) / FINAL)
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(name))


def build_engine(config: PipelineConfig, classes: ClassTable) -> tuple[Engine, Segmenter]:
    """Return an engine around a segmenter whose first weights depend on the seed alone."""
    untrained = Segmenter(config.segmenter, classes.num_classes)
    segmenter = initialise(untrained, generator_for(config.seed, "segmenter"))
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
    engine: Engine, config: PipelineConfig, stream: Any, epoch: int, steps: int, progress: Progress
) -> dict[str, float]:
    """Take one epoch's steps and return the mean of each loss."""
    rank, world = ray.train.get_context().get_world_rank(), ray.train.get_context().get_world_size()
    device = next(engine.model.parameters()).device
    batches = stream.iter_batches(
        batch_size=config.pretrain.batch_size // world,
        batch_format="numpy",
        drop_last=True,
        local_shuffle_buffer_size=config.pretrain.shuffle_rows,
        local_shuffle_seed=derive_seed(config.seed, "order", epoch, rank) % 2**32,
    )
    schedule = config.pretrain.schedule_over(steps)
    sums: dict[str, float] = {}
    for step, arrays in zip(range(steps), batches, strict=False):
        draws = generator_for(config.seed, "augment", epoch, step, rank)
        batch = augment(Batch.from_arrays(arrays), draws, turns=config.pretrain.turns).to(device)
        targets = targets_from_batch(batch.label_maps, batch.classes, batch.image_ids)
        num_masks = mean_over_ranks(targets.num_masks.float())
        losses = criterion(engine.model(batch.images), targets, num_masks, config.pretrain.criterion, draws)
        loss = torch.stack(list(losses.values())).sum()
        engine.backward(loss)
        position = epoch * steps + step
        engine.step(learning_rate_factor(position, schedule))
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item() / steps
        if rank == 0:
            progress.update(position + 1, f"epoch {epoch + 1}, loss {loss.item():.3f}")
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
