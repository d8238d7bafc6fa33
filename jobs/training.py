"""A training worker: one rank from the last checkpoint to the end, as Ray Train runs it.

What a step computes is a function of seed and step: its images (`stream.py`), the points at which masks are compared,
what dropout drops (`trainer.py`). So a run that was killed and resumed takes the same steps as one that was not.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ray.train
import ray.train.v2._internal.execution.context
import torch

from jobs.config import PipelineConfig
from jobs.history import LOSS, shares
from jobs.initial_weights import initial_segmenter
from jobs.progress import Progress
from jobs.stream import StreamConfig, training_batches
from jobs.trainer import Trainer
from jobs.validation import ValidationSet, validate
from pading.classes import ClassTable
from pading.config import from_plain
from pading.segmenter.segmenter import Segmenter
from pading.segmenter.weights import save_segmenter

FINAL = "segmenter"  # folder of plain weights inside the last checkpoint
LINE_STEPS = 20  # steps a line of the history
PREEMPTION_STEPS = 10  # all ranks ask together and wait for each other: not at every step
TIMINGS = ("seconds/", "images_per_s")  # of a machine, not of a training


def train_worker(settings: dict[str, Any]) -> None:
    """Train on one rank: restore, then step, validate, save and report."""
    # Ray names this logger by its file, out of reach of LoggingConfig: each report would be a line of each rank.
    logging.getLogger(ray.train.v2._internal.execution.context.__file__).setLevel(logging.WARNING)
    config = from_plain(PipelineConfig, settings["config"])
    classes = ClassTable.from_json(settings["classes"])
    steps_per_epoch, pretrain = settings["steps_per_epoch"], config.pretrain
    last_step, checkpoint_steps = pretrain.epochs * steps_per_epoch, pretrain.checkpoint_steps or steps_per_epoch
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    torch.set_num_threads(pretrain.threads_per_worker)
    segmenter, _ = initial_segmenter(config, classes, settings["seen_text"])
    with restored_checkpoint() as folder:
        schedule = pretrain.schedule_over(steps_per_epoch)
        trainer = Trainer(config, segmenter, schedule, rank=rank, world=world, resume_from=folder)
    images = ValidationSet.read(settings["validation"], pretrain.validation_images, rank, world)
    progress = Progress("pretrain", last_step, every_s=15.0, begun=trainer.first_step)
    stream = training_batches(StreamConfig.of(config), settings["shards"], trainer.first_step, last_step, rank, world)
    is_leaving = False  # the machine of a rank will soon be taken away, and a checkpoint has been made for that
    with closing(stream):
        for step, batch in trainer.timed(stream):
            trainer.step(step, batch)
            steps = step + 1
            is_scheduled = steps % checkpoint_steps == 0 or steps == last_step
            must_leave = steps % PREEMPTION_STEPS == 0 and not is_leaving and is_preempted()
            is_leaving = is_leaving or must_leave
            if steps % LINE_STEPS == 0 or is_scheduled or must_leave:
                line = trainer.end_line(steps)
                if rank == 0:
                    progress.update(steps, described(line))
            with trainer.stopwatch.measuring("checkpoint"):
                if is_scheduled and images.num_batches:
                    line |= validate(trainer.engine.model, images, config, classes, trainer.device)
                if is_scheduled or must_leave:
                    save_and_report(trainer, rank, steps, is_last=steps == last_step)


def is_preempted() -> bool:
    """Return whether a machine of this training will soon be taken away; every rank calls it and gets one answer."""
    return ray.train.get_preemption_info() is not None


@contextlib.contextmanager
def restored_checkpoint() -> Iterator[Path | None]:
    """Give the files of the checkpoint to resume from, or None at the start."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        yield None
    else:
        with checkpoint.as_directory() as name:
            yield Path(name)


def save_and_report(trainer: Trainer, rank: int, steps: int, *, is_last: bool) -> None:
    """Hand Ray Train a checkpoint after so many steps, with plain weights if they are the last; every rank calls it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainer.engine.save(folder, {"step": steps})
        weights = trainer.engine.full_weights() if is_last else None
        if rank == 0:
            trainer.history.save(folder)
            if weights is not None:
                plain = Segmenter(trainer.segmenter.config, trainer.segmenter.num_classes)
                plain.load_state_dict(weights)
                save_segmenter(folder / FINAL, plain)
        figures = {key: value for key, value in trainer.history.lines[-1].items() if not key.startswith(TIMINGS)}
        ray.train.report(figures, checkpoint=ray.train.Checkpoint.from_directory(name))


def described(line: dict[str, Any]) -> str:
    """Return a line of the history for people."""
    loss = sum(value for name, value in line.items() if name.startswith(LOSS))
    return f"loss {loss:.3f}, {line['images_per_s']:.4g} images/s; {shares(line)}"
