"""Scores by image as files: what a scoring of many classifiers leaves, and what is kept of each classifier."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pading.data.errors import DataError
from pading.evaluate.instance import InstanceTally
from pading.evaluate.per_image import COUNTED, ImageScores
from pading.splits.split import Task

SCHEMA_VERSION = 1
_DETECTIONS = ("image_ids", "classes", "scores", "is_matched", "is_ignored", "num_true")


def write_scores(path: Path, scores: Sequence[ImageScores]) -> None:
    """Write the scores of several classifiers on the same images, under a temporary name until the file is complete."""
    arrays = {"schema": np.array([SCHEMA_VERSION, len(scores)])}
    for number, one in enumerate(scores):
        arrays |= {
            f"{number}/image_ids": one.image_ids,
            f"{number}/pairs": np.stack([one.pair_image_ids, one.pair_classes]),
            f"{number}/counts": one.counts,
        }
        if one.detections is not None:
            arrays |= {f"{number}/detections/{name}": getattr(one.detections, name) for name in _DETECTIONS}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    unfinished.replace(path)


def read_scores(path: Path, task: Task, num_classes: int) -> list[ImageScores]:
    """Read what `write_scores` wrote.

    Raises:
        DataError: if the file is damaged, of another schema, or of another task or class table.
        FileNotFoundError: if there is none.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            schema, number = (int(value) for value in arrays["schema"])
            if schema != SCHEMA_VERSION:
                raise ValueError(f"schema {schema}, this code reads {SCHEMA_VERSION}")
            return [_read_one(arrays, f"{index}/", task, num_classes) for index in range(number)]
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataError(str(path), f"does not hold scores by image ({error})", "delete it to score again") from error


def _read_one(arrays: "np.lib.npyio.NpzFile", prefix: str, task: Task, num_classes: int) -> ImageScores:
    pairs, counts = arrays[f"{prefix}pairs"], arrays[f"{prefix}counts"]
    if counts.shape != (pairs.shape[1], len(COUNTED[task])) or pairs.shape[0] != 2:
        raise ValueError(f"counts {counts.shape} of pairs {pairs.shape} are not of the {task} task")
    if pairs.size and not 0 <= pairs[1].min() <= pairs[1].max() < num_classes:
        raise ValueError(f"classes beyond the {num_classes} of the table")
    detections = None
    if task == "instance":
        detections = InstanceTally(**{name: arrays[f"{prefix}detections/{name}"] for name in _DETECTIONS})
    return ImageScores(
        task=task,
        num_classes=num_classes,
        image_ids=arrays[f"{prefix}image_ids"],
        pair_image_ids=pairs[0],
        pair_classes=pairs[1],
        counts=counts,
        detections=detections,
    )
