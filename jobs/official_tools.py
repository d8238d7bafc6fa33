"""The official tools on result files: panopticapi, pycocotools' COCOeval, and a count of pixels as ZS3 and SPNet do it.

Each returns fractions of each class, in the order of the class table; NaN for a class that the tool leaves out.
"""

import contextlib
import importlib
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jobs.judged import Judged
from pading.data.errors import DataError
from pading.evaluate.results_scores import PREFIX
from pading.evaluate.results_semantic import class_of_value, find_class_maps

PANOPTICAPI = "panopticapi"
INSTALL = "pip install 'pading[official]', or pip install git+https://github.com/cocodataset/panopticapi.git"


class ToolMissingError(ValueError):
    """An official tool that is not installed; says how to."""


def official_quality(judged: Judged, image_ids: list[int] | None = None) -> dict[str, np.ndarray]:
    """Return the metrics of each class; `image_ids` are the images that count, of instances.

    Raises:
        ToolMissingError: if the tool is not installed.
    """
    if judged.task == "panoptic":
        return panoptic_quality(judged)
    return semantic_quality(judged) if judged.task == "semantic" else instance_quality(judged, image_ids)


def panoptic_quality(judged: Judged) -> dict[str, np.ndarray]:
    """Return pq, sq and rq by panopticapi, in this process: its own entry starts a process for each CPU.

    Raises:
        ToolMissingError: if it is not installed.
    """
    if importlib.util.find_spec(PANOPTICAPI) is None:
        raise ToolMissingError(f"panopticapi, the official tool of panoptic results, is not installed: {INSTALL}")
    evaluation = importlib.import_module(f"{PANOPTICAPI}.evaluation")
    truth = json.loads(judged.truth.read_text(encoding="utf-8"))
    found = {
        entry["image_id"]: entry for entry in json.loads(judged.results.read_text(encoding="utf-8"))["annotations"]
    }
    pairs = [(entry, found[entry["image_id"]]) for entry in truth["annotations"]]
    categories = {category["id"]: category for category in truth["categories"]}
    with contextlib.redirect_stdout(io.StringIO()):
        statistics = evaluation.pq_compute_single_core(
            0, pairs, str(judged.truth_pngs), str(judged.results_pngs), categories
        )
    quality: dict[str, list[float]] = {"pq": [], "sq": [], "rq": []}
    for coco_id in judged.classes.coco_ids:
        counts = statistics[coco_id]
        weight = counts.tp + counts.fp / 2 + counts.fn / 2
        quality["pq"].append(counts.iou / weight if weight else np.nan)
        quality["sq"].append((counts.iou / counts.tp if counts.tp else 0.0) if weight else np.nan)
        quality["rq"].append(counts.tp / weight if weight else np.nan)
    return {name: np.array(values) for name, values in quality.items()}


def instance_quality(judged: Judged, image_ids: list[int] | None = None) -> dict[str, np.ndarray]:
    """Return ap, ap50 and recall100 by COCOeval."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(judged.truth))
        entries = json.loads(judged.results.read_text(encoding="utf-8"))
        other = "bbox" if judged.kind == "segm" else "segmentation"
        for entry in entries:  # a result that has both would be taken for a box
            entry.pop(other, None)
        if not entries:
            raise DataError(str(judged.results), "holds no result", "COCOeval needs one at least")
        evaluation = COCOeval(truth, truth.loadRes(entries), judged.kind)
        if image_ids is not None:
            evaluation.params.imgIds = image_ids
        in_truth = set(truth.getCatIds())
        evaluation.params.catIds = sorted(in_truth.intersection(judged.classes.coco_ids))
        evaluation.evaluate()
        evaluation.accumulate()
    places = {coco_id: place for place, coco_id in enumerate(evaluation.params.catIds)}
    precision = np.where(evaluation.eval["precision"] < 0, np.nan, evaluation.eval["precision"])[:, :, :, 0, -1]
    recall = np.where(evaluation.eval["recall"] < 0, np.nan, evaluation.eval["recall"])[:, :, 0, -1]
    columns = [places.get(coco_id, -1) for coco_id in judged.classes.coco_ids]
    is_there = np.array(columns) >= 0
    prefix = PREFIX[judged.kind]
    return {
        f"{prefix}ap": np.where(is_there, precision.mean(axis=(0, 1))[columns], np.nan),
        f"{prefix}ap50": np.where(is_there, precision[0].mean(axis=0)[columns], np.nan),
        f"{prefix}recall100": np.where(is_there, recall[0][columns], np.nan),
    }


def semantic_quality(judged: Judged) -> dict[str, np.ndarray]:
    """Return miou: pixels counted by true and found class, then hist / (rows + columns - diagonal)."""
    classes = judged.classes
    num_labels = classes.num_classes + 1  # the last is void
    histogram = np.zeros((num_labels, num_labels), dtype=np.int64)
    meanings = [class_of_value(coding, classes) for coding in (judged.truth_coding, judged.coding)]
    for pair in find_class_maps(judged.truth, judged.results):
        true, found = (
            _plain_pixels(path, meaning) for path, meaning in zip((pair.truth, pair.result), meanings, strict=True)
        )
        is_counted = true >= 0
        found = np.where(found < 0, num_labels - 1, found)
        code = num_labels * true[is_counted].astype(np.int64) + found[is_counted]
        histogram += np.bincount(code, minlength=num_labels**2).reshape(num_labels, num_labels)
    diagonal = np.diag(histogram)
    union = histogram.sum(axis=0) + histogram.sum(axis=1) - diagonal
    return {"miou": (diagonal / np.where(union > 0, union, np.nan))[:-1]}


def _plain_pixels(path: Path, meaning: np.ndarray) -> np.ndarray:
    with Image.open(path) as picture:
        values: Any = np.array(picture)
    return np.asarray(meaning[values])
