"""Stage `pretrain`: shards -> segmenter weights, streamed by Ray Data into Ray Train workers (`training.py`)."""

import shutil
from pathlib import Path
from typing import Any

import ray.train
from ray.exceptions import RayActorError
from ray.train.torch import TorchConfig, TorchTrainer

from cluster.interrupts import interrupts_raised
from cluster.resources import Request
from cluster.session import connect
from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.devices import uses_gpus
from jobs.history import HISTORY_FILE
from jobs.initial_weights import staged_start
from jobs.progress import say
from jobs.seen_text import with_seen_text
from jobs.shard import audited_training_shards, shard_classes, shard_folder, shard_index
from jobs.stream import Shards
from jobs.training import FINAL, train_worker
from pading.config import to_plain
from pading.segmenter.pretrained import write_papers

START = "start"  # folder of the weights to start from, in the stage's work


def pretrain(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Train the segmenter on seen classes; write its plain weights, class table, provenance and the training's history.

    Raises:
        FileNotFoundError: if a shard or its audit is missing.
        OSError: if the weights to start from are not there.
        ValueError: if the shards are not those that the leak audit found clean, or are fewer images than one batch, or
            the weights to start from are unreadable or of another architecture, or the text of a text head does not
            fit it.
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
    config, seen_text = with_seen_text(config, run_dir, classes)
    config, provenance = staged_start(config, classes, run_dir.work("pretrain") / START, seen_text)
    settings = {
        "config": to_plain(config),
        "classes": classes.to_json(),
        "seen_text": seen_text,
        "shards": Shards.of(shard_folder(config, run_dir, "train"), index),
        "validation": Shards.of(shard_folder(config, run_dir, "val"), shard_index(config, run_dir, "val")),
        "steps_per_epoch": steps_per_epoch,
    }
    result = fit(config, settings, run_dir.work("pretrain").resolve())
    with result.checkpoint.as_directory() as name:
        checkpoint = Path(name)
        for path in (*(checkpoint / FINAL).iterdir(), checkpoint / HISTORY_FILE):
            shutil.copyfile(path, folder / path.name)
    write_papers(folder, classes, provenance)
    return {"images": index.num_images, "steps": steps_per_epoch * config.pretrain.epochs, **result.metrics}


def needs(config: PipelineConfig, has_gpus: bool) -> list[Request]:
    """Return what the stage cannot do without: all its workers at one time."""
    worker = {"CPU": config.pretrain.cpus_per_worker} | ({"GPU": 1.0} if has_gpus else {})
    return [Request(resources=worker, count=config.pretrain.workers)]


def fit(config: PipelineConfig, settings: dict[str, Any], storage: Path) -> ray.train.Result:
    """Train to the end, from the last checkpoint in `storage` if there is one.

    Ray Train starts workers that died anew; a controller that died is started anew here.
    """
    for failures_left in range(config.pretrain.max_failures, -1, -1):
        try:
            with interrupts_raised():
                return trainer_of(config, settings, storage).fit()
        except RayActorError as error:
            if failures_left == 0:
                raise
            say(f"  the controller of the training died ({type(error).__name__}); going on from the last checkpoint")
    raise AssertionError("the last attempt returns or raises")


def trainer_of(config: PipelineConfig, settings: dict[str, Any], storage: Path) -> TorchTrainer:
    """Return the trainer; one of the same storage goes on where the last one stopped."""
    has_gpus = uses_gpus()
    return TorchTrainer(
        train_worker,
        train_loop_config=settings,
        torch_config=TorchConfig(backend="nccl" if has_gpus else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=config.pretrain.workers,
            use_gpu=has_gpus,
            resources_per_worker={"CPU": config.pretrain.cpus_per_worker},
        ),
        run_config=ray.train.RunConfig(
            name="pretrain",
            storage_path=str(storage),
            failure_config=ray.train.FailureConfig(max_failures=config.pretrain.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),
        ),
    )
