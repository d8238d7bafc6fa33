"""Stage `evaluate`: cached predictions x every classifier -> metrics, by Ray tasks whose tallies add; and pictures."""

import math
from pathlib import Path
from typing import Any

import ray
import torch

from cluster.session import connect
from cluster.storage import RunDir, write_json
from jobs.cache import prediction_files
from jobs.config import PipelineConfig, scored_tasks
from jobs.fit import fitted_rows
from jobs.pictures import write_pictures
from jobs.progress import Progress
from jobs.shard import shard_classes, shard_index
from pading.classes import ClassTable
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import read_predictions
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.evaluate.scorer import head_scorer
from pading.segmenter.provenance import read_provenance
from pading.splits.split import Task
from pading.zeroshot.classifier import load_classifier

ROWS = "rows.json"


def evaluate(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Score every fitted classifier on every val image and write one leaderboard row for each, and for each task.

    One pass over the images gives the rows of all tasks: one model, three outputs. Rows say where the segmenter started
    from weights that knew unseen classes.

    Raises:
        FileNotFoundError: if the segmenter's provenance is not there.
        ValueError: if a task is asked for that the truth cannot judge, or the number of images scored is not the number
            of val images in the shards.
    """
    connect()
    classes = shard_classes(run_dir)
    rows = fitted_rows(run_dir)
    paths = [(run_dir.artefact("classifiers") / row["folder"]).resolve() for row in rows]
    files = [path.resolve() for path in prediction_files(run_dir)]
    tasks = scored_tasks(config)
    pending = [_score_file.remote(path, paths, classes, tasks, config.inference) for path in files]
    progress = Progress("score prediction files", len(files))
    parts: list[list[ImageTally]] = []
    for done, scores in enumerate(pending, start=1):  # kept in the order of the files, whichever ends first
        parts.append(ray.get(scores))
        progress.update(done)
    totals = [ImageTally.total(column) for column in zip(*parts, strict=True)]
    expected = shard_index(config, run_dir, "val").num_images
    if totals[0].num_images != expected:
        raise ValueError(f"{totals[0].num_images} images scored, the val shards hold {expected}; redo the cache stage")
    mark = {"leaky": True} if read_provenance(run_dir.artefact("segmenter")).leaky else {}
    scored = [
        {
            "task": task,
            "method": row["method"],
            "profile": row["profile"],
            "seed": row["seed"],
            "metrics": _finite_or_null(metrics(total.of_task(task), classes)),
            **mark,
        }
        for task in tasks
        for row, total in zip(rows, totals, strict=True)
    ]
    write_json(folder / ROWS, scored)
    write_pictures(config, run_dir, folder)
    return {"rows": len(scored), "images": expected}


def _finite_or_null(values: dict[str, float]) -> dict[str, float | None]:
    """A group without a class to average over has no value; JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


@ray.remote(num_cpus=1)
def _score_file(
    predictions: Path, classifiers: list[Path], classes: ClassTable, tasks: tuple[Task, ...], config: InferenceConfig
) -> list[ImageTally]:
    """Return each classifier's tally over one file of predictions; the work on an image is shared by all."""
    torch.set_num_threads(1)
    scorers = [head_scorer(path.name, load_classifier(path), config) for path in classifiers]
    tallies = [evaluate_image(image, scorers, classes, tasks) for image in read_predictions(predictions)]
    return [ImageTally.total(column) for column in zip(*tallies, strict=True)]
