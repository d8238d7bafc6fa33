"""Verb `curves`: what lambda and gamma do to the rows of ZegFormer, on the val images of a run; no network runs.

It looks at truly unseen classes: read it to understand a row, never to choose a setting. Rows that end in `+cal` choose
on seen classes held out (constants.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import ray
import torch
import tyro

from cluster.session import connect
from cluster.storage import RunDir, write_json
from cluster.tasks import in_order
from jobs.cache import prediction_files
from jobs.config import PipelineConfig, read_config, scored_tasks
from jobs.fit import fitted_rows
from jobs.progress import Progress, say
from jobs.row_inputs import read_row_inputs
from jobs.rows import RECIPES, Recipe, RowInputs, grid_scorers
from jobs.shard import shard_index
from pading.config import override
from pading.evaluate.grid import PENALTIES, WEIGHTS, GridPoint, mean_points, score_grid
from pading.evaluate.grid_pages import Curves, Row, grid_markdown, grid_page
from pading.evaluate.leaderboard import write_whole
from pading.splits.split import Task
from pading.zeroshot.classifier import load_classifier
from pading.zeroshot.zegformer import ZegformerConfig

FOLDER = "curves"
NOTE = (
    "On val images, truly unseen classes among them, the other constant as the run has it; means over seeds. "
    "To read, never to choose by: a constant taken from here was fitted to the test."
)


@dataclass(frozen=True, kw_only=True)
class DrawCurves:
    """Draw the seen and unseen quality of ZegFormer's rows by lambda and by gamma, from what a run has cached."""

    preset: tyro.conf.Positional[str] = "shapes"
    """Only says where the run lies, if --run-dir does not."""
    run_dir: Path | None = None
    """A run directory whose `fit` stage is finished; runs/PRESET by default."""
    tasks: tuple[Task, ...] = ()
    """Outputs that are scored, a page each; empty: the one that the split asks for."""
    images: int = 500
    """Val images, from the first on."""


def draw_curves(command: DrawCurves) -> None:
    """Write `curves/TASK.json`, `.md` and `.html` of a run.

    Raises:
        FileNotFoundError: if there is no such run.
        ValueError: if it has no row with such constants, its truth cannot judge a task, or no image is asked for.
    """
    if command.images < 1:
        raise ValueError(f"--images is {command.images}: look at one image at least")
    run_dir = RunDir((command.run_dir or Path("runs") / command.preset).absolute())
    config = read_config(run_dir)
    tasks = scored_tasks(override(config, {"evaluate.tasks": command.tasks or (config.task,)}))
    rows = [row for row in fitted_rows(run_dir) if cross_of(RECIPES[row["method"]], config.zegformer)]
    if not rows:
        raise ValueError("no row of this run has a lambda or gamma that was given; name zegformer-seg in --fit.methods")
    connect()
    folder, num_images = run_dir.artefact(FOLDER), min(command.images, shard_index(config, run_dir, "val").num_images)
    for task in tasks:
        curves = _curves(config, run_dir, rows, task, num_images)
        write_whole(folder / f"{task}.html", grid_page(curves))
        write_whole(folder / f"{task}.md", grid_markdown(curves))
        write_json(folder / f"{task}.json", described(curves, task, num_images))
        for (method, profile), at in curves.crossings.items():
            values = f"seen {at.seen:.1f}, unseen {at.unseen:.1f}, harmonic mean {at.hm:.1f}"
            say(f"  {method} ({profile}): lambda {at.weight:.2f}, gamma {at.seen_penalty:g}: {values}")
        say(f"{folder / f'{task}.html'}")


def cross_of(recipe: Recipe, given: ZegformerConfig) -> list[tuple[float, float]]:
    """Return pairs of lambda and gamma: each constant that a recipe reads, with the other as given; none if neither.

    Rows that choose their own constants have a grid of their own.
    """
    if recipe.is_calibrated:
        return []
    gamma = given.seen_penalty if recipe.is_penalised else 0.0
    weights = sorted({*WEIGHTS, given.weight}) if recipe.branches == "both" else []
    penalties = sorted({*PENALTIES, gamma}) if recipe.is_penalised else []
    return list(dict.fromkeys([(each, gamma) for each in weights] + [(given.weight, each) for each in penalties]))


def described(curves: Curves, task: Task, num_images: int) -> dict[str, Any]:
    """Return what was drawn, for JSON; null where no class of a group is in the images."""
    rows = [
        {"method": row[0], "profile": row[1], "at": _plain(curves.crossings[row]), "points": [*map(_plain, points)]}
        for row, points in curves.grids.items()
    ]
    return {"task": task, "images": num_images, "note": curves.note, "rows": rows}


def score_crosses(
    config: PipelineConfig,
    rows: Sequence[Mapping[str, Any]],
    inputs: RowInputs,
    task: Task,
    classifiers: Path,
    predictions: Sequence[Path],
    num_images: int,
) -> dict[Row, list[GridPoint]]:
    """Return the points of each row of one seed; the work on an image is shared by all.

    Raises:
        ValueError: if a classifier is damaged.
    """
    pairs, scorers = [], []
    for row in rows:
        recipe, classifier = RECIPES[row["method"]], load_classifier(classifiers / row["folder"])
        cross = cross_of(recipe, config.zegformer)
        pairs += cross
        scorers += grid_scorers(row["method"], recipe, cross, config.zegformer, classifier, config.inference, inputs)
    images = inputs.first_images(predictions, num_images)
    points = iter(score_grid(images, pairs, scorers, inputs.classes, task))
    sizes = {(row["method"], row["profile"]): len(cross_of(RECIPES[row["method"]], config.zegformer)) for row in rows}
    return {key: list(islice(points, size)) for key, size in sizes.items()}


@ray.remote(num_cpus=1)
def _score_seed(
    config: PipelineConfig,
    rows: Sequence[Mapping[str, Any]],
    inputs: RowInputs,
    task: Task,
    classifiers: Path,
    predictions: Sequence[Path],
    num_images: int,
) -> dict[Row, list[GridPoint]]:
    torch.set_num_threads(1)
    return score_crosses(config, rows, inputs, task, classifiers, predictions, num_images)


def _curves(
    config: PipelineConfig, run_dir: RunDir, rows: Sequence[Mapping[str, Any]], task: Task, num_images: int
) -> Curves:
    inputs = read_row_inputs(config, run_dir, {row["method"] for row in rows})
    classifiers = run_dir.artefact("classifiers").resolve()
    files = [path.resolve() for path in prediction_files(run_dir)]
    seeds = sorted({row["seed"] for row in rows})

    def submit(seed: int) -> ray.ObjectRef:
        of_seed = [row for row in rows if row["seed"] == seed]
        return _score_seed.remote(config, of_seed, inputs, task, classifiers, files, num_images)

    progress, found = Progress(f"score {task} curves, seeds", len(seeds)), []
    for reference in in_order(submit, seeds):
        found.append(ray.get(reference))
        progress.update(len(found))
    grids = {row: mean_points([grid[row] for grid in found if row in grid]) for row in found[0]}
    return Curves(
        title=f"Lambda and gamma of ZegFormer's rows: {task}",
        note=NOTE,
        grids=grids,
        crossings={row: _as_given(row, points, config.zegformer) for row, points in grids.items()},
    )


def _as_given(row: Row, points: Sequence[GridPoint], given: ZegformerConfig) -> GridPoint:
    gamma = given.seen_penalty if RECIPES[row[0]].is_penalised else 0.0
    (point,) = [point for point in points if (point.weight, point.seen_penalty) == (given.weight, gamma)]
    return point


def _plain(point: GridPoint) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in asdict(point).items()}
