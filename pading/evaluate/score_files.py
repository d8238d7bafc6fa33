"""Scores of rows as files: what a pass over the images leaves, and what is kept of each row."""

import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pading.classes import ClassTable
from pading.data.errors import DataError
from pading.evaluate.curve import CURVE_COUNTED, CurveTally
from pading.evaluate.instance import INSTANCE_QUALITIES, InstanceTally
from pading.evaluate.per_image import COUNTED, ImageScores
from pading.evaluate.row_scores import RowScores
from pading.splits.split import JUDGED, Task

SCHEMA_VERSION = 2
NUM_JUDGEMENTS = 1 + max(judgement for _, judgements in INSTANCE_QUALITIES.values() for judgement in judgements)
_PLAIN, _BITS = ("image_ids", "classes", "scores", "num_true"), ("is_matched", "is_ignored")
_SETTINGS = ("generalised", "unseen_only")


def write_scores(path: Path, rows: Sequence[RowScores]) -> None:
    """Write the scores of several rows on the same images, under a temporary name until the file is complete."""
    arrays = {"schema": np.array([SCHEMA_VERSION, len(rows)])}
    for number, row in enumerate(rows):
        for setting in _SETTINGS:
            for task, scores in getattr(row, setting).items():
                arrays |= _plain(f"{number}/{setting}/{task}/", scores)
        arrays |= {f"{number}/curves/{task}": curve.counts for task, curve in row.curves.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    unfinished.replace(path)


def read_scores(path: Path, classes: ClassTable, numbers: Sequence[int] | None = None) -> list[RowScores]:
    """Read what `write_scores` wrote: all rows, or those of some numbers, without touching the others.

    Raises:
        DataError: if the file is damaged, of another schema or class table, or lacks a row.
        FileNotFoundError: if there is none.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            schema, num_rows = (int(value) for value in arrays["schema"])
            if schema != SCHEMA_VERSION:
                raise ValueError(f"schema {schema}, this code reads {SCHEMA_VERSION}")
            chosen = range(num_rows) if numbers is None else numbers
            if any(not 0 <= number < num_rows for number in chosen):
                raise ValueError(f"rows {list(chosen)} of {num_rows}")
            return [_read_row(arrays, number, classes) for number in chosen]
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(str(path), f"does not hold scores by image ({error})", "delete it to score again") from error


def _plain(prefix: str, scores: ImageScores) -> dict[str, np.ndarray]:
    arrays = {
        f"{prefix}image_ids": scores.image_ids,
        f"{prefix}pairs": np.stack([scores.pair_image_ids, scores.pair_classes]),
        f"{prefix}counts": scores.counts,
    }
    if scores.detections is not None:
        arrays |= {f"{prefix}detections/{name}": getattr(scores.detections, name) for name in _PLAIN}
        arrays |= {f"{prefix}detections/{name}": np.packbits(getattr(scores.detections, name), 1) for name in _BITS}
    return arrays


def _read_row(arrays: "np.lib.npyio.NpzFile", number: int, classes: ClassTable) -> RowScores:
    sizes = {"generalised": classes.num_classes, "unseen_only": len(classes.unseen)}
    settings: dict[str, Mapping[Task, ImageScores]] = {
        setting: {
            task: _read_one(arrays, f"{number}/{setting}/{task}/", task, sizes[setting])
            for task in JUDGED
            if f"{number}/{setting}/{task}/counts" in arrays
        }
        for setting in _SETTINGS
    }
    curves: dict[Task, CurveTally] = {}
    for task in CURVE_COUNTED:
        if (name := f"{number}/curves/{task}") in arrays:
            counts = arrays[name]
            if counts.ndim != 3 or (len(counts), counts.shape[2]) != (len(CURVE_COUNTED[task]), classes.num_classes):
                raise ValueError(f"curve {counts.shape} is not of the {task} task and {classes.num_classes} classes")
            curves[task] = CurveTally(task=task, counts=counts)
    return RowScores(curves=curves, **settings)


def _read_one(arrays: "np.lib.npyio.NpzFile", prefix: str, task: Task, num_classes: int) -> ImageScores:
    pairs, counts = arrays[f"{prefix}pairs"], arrays[f"{prefix}counts"]
    if counts.shape != (pairs.shape[1], len(COUNTED[task])) or pairs.shape[0] != 2:
        raise ValueError(f"counts {counts.shape} of pairs {pairs.shape} are not of the {task} task")
    if pairs.size and not 0 <= pairs[1].min() <= pairs[1].max() < num_classes:
        raise ValueError(f"classes beyond the {num_classes} of the table")
    detections = None
    if task == "instance":
        plain = {name: arrays[f"{prefix}detections/{name}"] for name in _PLAIN}
        if len(plain["num_true"]) != num_classes:
            raise ValueError(f"instances of {len(plain['num_true'])} classes, not {num_classes}")
        bits = {
            name: np.unpackbits(arrays[f"{prefix}detections/{name}"], axis=1, count=NUM_JUDGEMENTS).astype(bool)
            for name in _BITS
        }
        detections = InstanceTally(**plain, **bits)
    return ImageScores(
        task=task,
        num_classes=num_classes,
        image_ids=arrays[f"{prefix}image_ids"],
        pair_image_ids=pairs[0],
        pair_classes=pairs[1],
        counts=counts,
        detections=detections,
    )
