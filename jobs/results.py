"""Verb `results`: what a row of the leaderboard says of every val image, as the files that COCO's official tools read.

Nothing runs but the classifier: masks come from the cached predictions, each image once, by Ray tasks.

OUT/panoptic.json, panoptic/NAME.png      OUT/instances.json, boxes.json      OUT/semantic/NAME.png
OUT/truth/                                the truth that they are judged by, in the same forms
OUT/results.json, classes.json            which row they are of, its numbers on the leaderboard, and the class table
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
import tyro

from cluster.filesystem import open_location
from cluster.session import connect
from cluster.storage import RunDir, write_json, written_whole
from cluster.tasks import in_order
from jobs.cache import prediction_files
from jobs.config import PipelineConfig, read_config
from jobs.evaluate import ROWS
from jobs.json_lists import write_list, write_lists
from jobs.model import MODEL_FILE, Model, open_model, require_free, scored_row_of
from jobs.progress import Progress, say
from jobs.result_files import BOXES, INSTANCES, PANOPTIC, categories
from jobs.result_image import TRUTH, ResultPart, write_image
from jobs.row_inputs import read_row_inputs
from jobs.rows import RowInputs, scorer_of
from jobs.shard import shard_files, shard_folder
from pading.classes import ClassTable
from pading.data.errors import DataError
from pading.evaluate.predictions import num_groups
from pading.splits.split import JUDGED, Task

RESULTS, CLASSES = "results.json", "classes.json"
GROUPS_TOGETHER = 4  # row groups of predictions that one task writes
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Results:
    """Write the results of one row for every val image, as COCO's official tools read them."""

    run: tyro.conf.Positional[Path]
    """A run directory whose `fit` stage is finished."""
    out: Path = Path("results")
    """Folder that is made, with the truth in `truth/`."""
    tasks: Annotated[tuple[Task, ...], tyro.conf.arg(aliases=["--task"])] = ()
    """Which results; none named: all that the truth of the run can judge."""
    method: str = "pading"
    """Row of the leaderboard."""
    profile: str = ""
    """Profile of that row; empty: the first that was fitted."""
    seed: Annotated[int, tyro.conf.arg(help="Seed of that row.")] = 0


def results(command: Results) -> None:
    """Write the result files, and the truth beside them; the folder appears when it is whole.

    Raises:
        FileNotFoundError: if the run, its predictions or its shards are not there.
        ValueError: if there is no such row or task, a file is damaged, or something lies in the place of the results.
    """
    require_free(command.out)
    if (command.run / MODEL_FILE).is_file():
        raise ValueError(f"{command.run} is a taught model, which has no val images; give the run, or use predict")
    model = open_model(command.run, command.method, command.profile, command.seed)
    run_dir = RunDir(command.run.absolute())
    config = read_config(run_dir)
    possible = JUDGED[config.task]
    if impossible := [task for task in command.tasks if task not in possible]:
        raise ValueError(
            f"the truth of a {config.task} split cannot judge {impossible[0]!r}; choose from {', '.join(possible)}"
        )
    tasks = tuple(task for task in possible if task in (command.tasks or possible))
    names = _names(config, run_dir)
    connect()
    with written_whole(command.out.absolute()) as folder:
        inputs = read_row_inputs(config, run_dir, [command.method])
        images = _write_parts(model, inputs, run_dir, folder, tasks, names)
        _write_lists(folder, images, tasks, model.classes)
        for part in sorted((folder / "parts").iterdir()):
            part.unlink()
        (folder / "parts").rmdir()
        (folder / CLASSES).write_text(model.classes.to_json())
        write_json(folder / RESULTS, {"schema": SCHEMA_VERSION, "tasks": tasks, **_described(model, run_dir, tasks)})
    say(f"{len(names)} images, {', '.join(tasks)} -> {command.out}")


def _names(config: PipelineConfig, run_dir: RunDir) -> dict[int, str]:
    """Return the name of each val photo, as the data has it."""
    filesystem, _ = open_location(shard_folder(config, run_dir, "val"))
    names: dict[int, str] = {}
    for file in shard_files(config, run_dir, "val"):
        try:
            rows = pq.read_table(file, columns=["image_id", "file_name"], filesystem=filesystem).to_pylist()
        except (pa.ArrowException, OSError) as error:
            raise DataError(file, f"does not read ({error})", "write the shards again") from error
        names |= {row["image_id"]: row["file_name"] for row in rows}
    return names


def _write_parts(
    model: Model, inputs: RowInputs, run_dir: RunDir, folder: Path, tasks: tuple[Task, ...], names: dict[int, str]
) -> list[Path]:
    """Write the pictures of all images, and return files of what the JSON files will say, a line an image, in order."""
    shares = [
        (path.resolve(), range(start, min(start + GROUPS_TOGETHER, groups)))
        for path in prediction_files(run_dir)
        for groups in [num_groups(path)]
        for start in range(0, groups, GROUPS_TOGETHER)
    ]
    (folder / "parts").mkdir()
    shared = ray.put((model, inputs, tasks, names))
    parts = [folder / "parts" / f"{number:06d}.jsonl" for number in range(len(shares))]
    progress, done = Progress("results", len(names)), 0
    for number in in_order(
        lambda task: _write_share.remote(shared, *task[0], folder, task[1]), zip(shares, parts, strict=True)
    ):
        progress.update(done := done + ray.get(number))
    if done != len(names):
        raise ValueError(f"{done} images are cached, the val shards hold {len(names)}; redo the cache stage")
    return parts


@ray.remote(num_cpus=1)
def _write_share(
    shared: tuple[Model, RowInputs, tuple[Task, ...], dict[int, str]],
    path: Path,
    groups: Sequence[int],
    folder: Path,
    part: Path,
) -> int:
    return write_share(*shared, path, groups, folder, part)


def write_share(
    model: Model,
    inputs: RowInputs,
    tasks: tuple[Task, ...],
    names: dict[int, str],
    path: Path,
    groups: Sequence[int],
    folder: Path,
    part: Path,
) -> int:
    """Write the results of some row groups of cached predictions, and return how many images these hold.

    Raises:
        ValueError: if a prediction is damaged, or is of an image that the shards do not hold.
    """
    torch.set_num_threads(1)
    scorer, num_images = scorer_of(scored_row_of(model), inputs), 0
    with part.open("w", encoding="utf-8") as handle:
        for image in inputs.predictions(path, groups):
            if image.image_id not in names:
                what = f"holds image id {image.image_id}, which the val shards lack"
                raise DataError(str(path), what, "redo the cache stage")
            photo = names[image.image_id]
            written = write_image(image, photo, scorer, model.classes, model.config.task, tasks, folder)
            handle.write(json.dumps(written, allow_nan=False) + "\n")
            num_images += 1
    return num_images


def _write_lists(folder: Path, parts: Sequence[Path], tasks: Sequence[Task], classes: ClassTable) -> None:
    def each(choose: Callable[[ResultPart], list[Any]]) -> Iterator[Any]:
        for part in parts:
            with part.open(encoding="utf-8") as handle:
                for line in handle:
                    yield from choose(json.loads(line))

    described = categories(classes)
    truth = folder / TRUTH
    truth.mkdir(exist_ok=True)
    if "panoptic" in tasks:
        for place, key in ((folder, "panoptic"), (truth, "true_panoptic")):
            lists = {"images": each(lambda part: [part["image"]]), "annotations": each(_chosen(key))}
            write_lists(place / PANOPTIC, {**lists, "categories": described})
    if "instance" in tasks:
        write_list(folder / INSTANCES, each(_chosen("instances")))
        write_list(folder / BOXES, each(_chosen("boxes")))
        numbered = ({"id": number, **one} for number, one in enumerate(each(_chosen("true_instances")), start=1))
        things = [category for category in described if category["isthing"]]
        lists = {"images": each(lambda part: [part["image"]]), "annotations": numbered, "categories": things}
        write_lists(truth / INSTANCES, lists)


def _chosen(key: str) -> Callable[[ResultPart], list[Any]]:
    return lambda part: part[key]  # type: ignore[literal-required]


def _described(model: Model, run_dir: RunDir, tasks: Sequence[Task]) -> dict[str, Any]:
    """Return which row the files are of, and what the leaderboard says of it where the run was evaluated."""
    path = run_dir.artefact("evaluation") / ROWS
    rows = json.loads(path.read_text()) if path.is_file() else []
    row = {"method": model.config.method, "profile": model.config.settings.profile, "seed": model.config.seed}
    return {
        **row,
        "leaderboard": {
            found["task"]: found["metrics"] for found in rows if found["task"] in tasks and row.items() <= found.items()
        },
    }
