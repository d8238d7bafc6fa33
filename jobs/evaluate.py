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
from jobs.constants import choose_constants, described, with_chosen
from jobs.fit import fitted_rows
from jobs.pictures import draw_pictures
from jobs.progress import Progress
from jobs.row_inputs import read_row_inputs
from jobs.rows import RowInputs, scorer_of
from jobs.shard import shard_classes, shard_index
from pading.evaluate.report import ImageTally, evaluate_image, metrics
from pading.segmenter.provenance import read_provenance
from pading.splits.split import Task

ROWS, PANELS, CONSTANTS = "rows.json", "panels.png", "constants.json"


def evaluate(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Score every row of the run on every val image and write one leaderboard row for each, and for each task.

    One pass over the images gives the rows of all tasks: one model, three outputs. Rows say where the segmenter started
    from weights that knew unseen classes.

    Raises:
        FileNotFoundError: if the segmenter's provenance is not there.
        ValueError: if a task is asked for that the truth cannot judge, a row reads region embeddings that the run has
            not, or the number of images scored is not the number of val images in the shards.
    """
    connect()
    classes = shard_classes(run_dir)
    rows = fitted_rows(run_dir)
    inputs = read_row_inputs(config, run_dir, (row["method"] for row in rows))
    grids = choose_constants(config, run_dir, rows, inputs)
    inputs = with_chosen(inputs, grids)
    folders = [(run_dir.artefact("classifiers") / row["folder"]).resolve() for row in rows]
    files = [path.resolve() for path in prediction_files(run_dir)]
    tasks = scored_tasks(config)
    pending = [_score_file.remote(path, rows, folders, inputs, tasks) for path in files]
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
    write_json(folder / CONSTANTS, described(grids))
    draw_pictures(config, run_dir, inputs).save(folder / PANELS)
    return {"rows": len(scored), "images": expected}


def _finite_or_null(values: dict[str, float]) -> dict[str, float | None]:
    """A group without a class to average over has no value; JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


@ray.remote(num_cpus=1)
def _score_file(
    predictions: Path, rows: list[dict[str, Any]], folders: list[Path], inputs: RowInputs, tasks: tuple[Task, ...]
) -> list[ImageTally]:
    """Return each row's tally over one file of predictions; the work on an image is shared by all."""
    torch.set_num_threads(1)
    scorers = [scorer_of(row, folder, inputs) for row, folder in zip(rows, folders, strict=True)]
    tallies = [evaluate_image(image, scorers, inputs.classes, tasks) for image in inputs.predictions(predictions)]
    return [ImageTally.total(column) for column in zip(*tallies, strict=True)]
