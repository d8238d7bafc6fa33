"""Result files and their truth, from what `score` and `official` are given: a folder of `results`, or any files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from jobs.result_files import BOXES, INSTANCES, PANOPTIC
from jobs.result_image import PANOPTIC_FOLDER, SEMANTIC_FOLDER, TRUTH
from jobs.results import CLASSES, RESULTS
from pading.classes import ClassTable
from pading.data.coco.instances import InstanceRecord
from pading.data.coco.source import choose
from pading.data.errors import DataError, MissingFileError
from pading.evaluate.results_instance import Kind
from pading.evaluate.results_semantic import Coding
from pading.splits.published import find_split
from pading.splits.split import JUDGED, Split, Task


@dataclass(frozen=True, kw_only=True)
class ResultFilesGiven:
    """Which results are judged by which truth."""

    results: tyro.conf.Positional[Path]
    """A folder that `results` wrote, which has all that the other options give; or a panoptic or instance JSON file, or
    a folder of class maps."""
    truth: Path | None = None
    """The annotation file (panoptic, instance), or the folder of true class maps (semantic)."""
    split: str = ""
    """A published split, or the path of your own, that says which classes are seen and unseen."""
    task: Annotated[Task | None, tyro.conf.arg(metavar="TASK")] = None
    """What the results are of; the split's own task if it is left out."""
    pngs: Path | None = None
    """Folder of the PNGs of a panoptic JSON; left out, the folder beside it that has its name, or its own folder."""
    truth_pngs: Path | None = None
    """Likewise of the truth."""
    kind: Kind = "segm"
    """Whether instances are compared by masks or by boxes."""
    coding: Coding = "coco-id-less-one"
    """What the values of class maps mean; those that `predict` writes are coco-id."""
    truth_coding: Coding = "coco-id-less-one"
    """Likewise of the truth; COCO-Stuff's own are coco-id-less-one."""
    protocol: bool = False
    """Leave out the images that the published protocol of an instance split leaves out: those without unseen object."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Results of one task and their truth."""

    task: Task
    split: Split
    results: Path
    truth: Path
    results_pngs: Path
    truth_pngs: Path
    kind: Kind = "segm"
    coding: Coding = "coco-id-less-one"
    truth_coding: Coding = "coco-id-less-one"
    protocol: bool = False
    leaderboard: dict[str, float | None] = field(default_factory=dict)  # of the row that the files are of, if known

    @property
    def classes(self) -> ClassTable:
        """The classes of the split."""
        return self.split.classes

    @property
    def title(self) -> str:
        """What the table of its numbers is called."""
        return f"{self.task} ({self.kind})" if self.task == "instance" else self.task

    def chosen(self, records: Sequence[InstanceRecord]) -> list[InstanceRecord]:
        """Return the images that count."""
        return [record for record in records if not self.protocol or choose(record, self.split, "val") == "kept"]


def find_judged(given: ResultFilesGiven) -> list[Judged]:
    """Return what is to be judged: of a folder of `results` each task (instances by masks and by boxes), else one.

    Raises:
        FileNotFoundError: if results or truth are not there.
        ValueError: if the split cannot be judged by the task, or a file does not read.
    """
    if (given.results / RESULTS).is_file():
        return _of_folder(given)
    if given.truth is None or not given.split:
        raise MissingFileError(
            str(given.results), f"is no folder of `results` (no {RESULTS})", "give --truth and --split for other files"
        )
    split = find_split(given.split)
    task = given.task or split.task
    if task not in JUDGED[split.task]:
        raise ValueError(f"the classes of the {split.task} split {split.name!r} are none of the task {task}")
    for path in (given.results, given.truth):
        if task == "semantic" and not path.is_dir():
            raise MissingFileError(str(path), "no such folder", "give a folder of class maps, one PNG an image")
        if task != "semantic" and not path.is_file():
            raise MissingFileError(str(path), "no such file", "give a JSON file")
    return [
        Judged(
            task=task,
            split=split,
            results=given.results,
            truth=given.truth,
            results_pngs=given.pngs or _beside(given.results),
            truth_pngs=given.truth_pngs or _beside(given.truth),
            kind=given.kind,
            coding=given.coding,
            truth_coding=given.truth_coding,
            protocol=given.protocol,
        )
    ]


def _of_folder(given: ResultFilesGiven) -> list[Judged]:
    file, folder = given.results / RESULTS, given.results
    if given.truth is not None or given.split:
        raise ValueError(
            f"{folder} has its own truth and classes; to use others, name one of its JSON files or folders"
        )
    described, classes = _described(file), _classes(folder / CLASSES)
    found = []
    for task in described["tasks"]:
        if given.task not in (None, task):
            continue
        things = task == "instance" and not all(classes.is_thing)
        split = Split(name=classes.name, task="panoptic" if things else task, classes=classes)
        places: dict[Task, tuple[str, str]] = {
            "panoptic": (PANOPTIC, PANOPTIC_FOLDER),
            "semantic": (SEMANTIC_FOLDER, SEMANTIC_FOLDER),
            "instance": (INSTANCES, "."),
        }
        name, pngs = places[task]
        kinds: tuple[Kind, ...] = ("segm", "bbox") if task == "instance" else ("segm",)
        found += [
            Judged(
                task=task,
                split=split,
                results=folder / (BOXES if kind == "bbox" else name),
                truth=folder / TRUTH / name,
                results_pngs=folder / pngs,
                truth_pngs=folder / TRUTH / pngs,
                kind=kind,
                leaderboard=described["leaderboard"].get(task, {}),
            )
            for kind in kinds
        ]
    if not found:
        raise ValueError(f"{folder} has no results of the task {given.task}; it has {', '.join(described['tasks'])}")
    return found


def _described(file: Path) -> dict[str, Any]:
    try:
        described = json.loads(file.read_text(encoding="utf-8"))
        if not set(described["tasks"]) <= JUDGED.keys() or not isinstance(described["leaderboard"], dict):
            raise ValueError(f"tasks {described['tasks']}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(str(file), f"does not describe results ({error})", "write them again") from error
    return dict(described)


def _classes(file: Path) -> ClassTable:
    try:
        return ClassTable.from_json(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(str(file), f"is no class table ({error})", "write the results again") from error


def _beside(file: Path) -> Path:
    named = file.with_suffix("")
    return named if named.is_dir() else file.parent
