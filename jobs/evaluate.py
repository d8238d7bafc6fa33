"""Stage `evaluate`: cached predictions x every classifier -> metrics, by Ray tasks whose tallies add; and pictures."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import ray
import torch
from torch import Tensor

from cluster.session import connect
from cluster.storage import RunDir, write_json
from jobs.cache import prediction_files
from jobs.fit import fitted_rows
from jobs.presets import PipelineConfig
from jobs.progress import Progress
from jobs.shard import shard_classes, shard_files
from pading.classes import ClassTable
from pading.data.shards import decode_row, read_rows
from pading.evaluate.inference import InferenceConfig, ground_truth_map, panoptic_map, upsampled_masks
from pading.evaluate.panels import Panel, panel_sheet
from pading.evaluate.predictions import ImagePrediction, read_predictions
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.zeroshot.classifier import Classifier, load_classifier

ROWS, PANELS = "rows.json", "panels.png"


def evaluate(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Score every fitted classifier on every val image and write one leaderboard row for each.

    Raises:
        ValueError: if the number of images scored is not the number of val images in the shards.
    """
    connect()
    classes = shard_classes(run_dir)
    rows = fitted_rows(run_dir)
    paths = [run_dir.artefact("classifiers") / row["folder"] for row in rows]
    files = prediction_files(run_dir)
    tasks = [_score_file.remote(path, paths, classes, config.inference) for path in files]
    progress = Progress("score prediction files", len(files))
    totals: list[ImageTally] = []
    for done, task in enumerate(tasks, start=1):  # added in the order of the files, whichever task ends first
        tallies = ray.get(task)
        totals = [ImageTally.total([a, b]) for a, b in zip(totals, tallies, strict=True)] if totals else tallies
        progress.update(done)
    expected = sum(1 for path in shard_files(run_dir, "val") for _ in read_rows(path))
    if totals[0].num_images != expected:
        raise ValueError(f"{totals[0].num_images} images scored, the val shards hold {expected}; redo the cache stage")
    scored = [
        {key: row[key] for key in ("method", "profile", "seed")} | {"task": config.task, "metrics": metrics(total, classes)}
        for row, total in zip(rows, totals, strict=True)
    ]
    write_json(folder / ROWS, scored)
    picture(config, run_dir, classes).save(folder / PANELS)
    return {"rows": len(scored), "images": expected}
