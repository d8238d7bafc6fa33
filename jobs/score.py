"""Verb `score`: anybody's COCO result files -> seen, unseen and harmonic mean, by our own counting."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cluster.storage import write_json
from jobs.judged import Judged, ResultFilesGiven, find_judged
from jobs.progress import say
from pading.evaluate.results_instance import (
    count_instances,
    read_instance_results,
    read_instance_truth,
    read_true_boxes,
)
from pading.evaluate.results_panoptic import count_panoptic, read_panoptic_results, read_panoptic_truth
from pading.evaluate.results_scores import GROUPS, instance_scores, panoptic_scores, semantic_scores
from pading.evaluate.results_semantic import count_semantic, find_class_maps


@dataclass(frozen=True, kw_only=True)
class Score(ResultFilesGiven):
    """Score COCO result files, such as detectron2's, by class group: seen, unseen and their harmonic mean."""

    json: Path | None = None
    """File for the numbers, in percent."""


def score(command: Score) -> None:
    """Print a table for each task, and write the numbers.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file does not read, or results and truth do not fit each other.
    """
    found = {}
    for judged in find_judged(command):
        found[judged.title] = score_files(judged)
        say(f"{judged.title}: {judged.results}")
        for line in score_lines(found[judged.title]):
            say(f"  {line}")
    if command.json is not None:
        finite = {
            title: {name: value if np.isfinite(value) else None for name, value in scores.items()}
            for title, scores in found.items()
        }
        write_json(command.json, finite)


def score_files(judged: Judged) -> dict[str, float]:
    """Return the numbers of result files, in percent; NaN for a group without class to average.

    Raises:
        FileNotFoundError: if a PNG is missing.
        ValueError: if a file does not read, or results and truth do not fit each other.
    """
    classes = judged.classes
    if judged.task == "panoptic":
        truth = read_panoptic_truth(judged.truth, judged.truth_pngs, classes)
        results = read_panoptic_results(judged.results, judged.results_pngs, classes, truth)
        return panoptic_scores(count_panoptic(truth, results, classes), classes)
    if judged.task == "semantic":
        pairs = find_class_maps(judged.truth, judged.results)
        return semantic_scores(count_semantic(pairs, classes, judged.truth_coding, judged.coding), classes)
    listed = read_instance_truth(judged.truth, judged.split)
    found = read_instance_results(judged.results, judged.kind, classes, listed)
    boxes = read_true_boxes(judged.truth) if judged.kind == "bbox" else None
    return instance_scores(count_instances(judged.chosen(listed), found, classes, boxes), classes, judged.kind)


def score_lines(scores: Mapping[str, float]) -> list[str]:
    """Return a table: a line for each metric, a column for each group of classes."""
    metrics = list(dict.fromkeys(name.split("/")[0] for name in scores))
    lines = [f"{'':14s}" + "".join(f"{group:>9s}" for group in GROUPS)]
    lines += [
        f"{metric:14s}" + "".join(f"{scores[f'{metric}/{group}']:9.2f}" for group in GROUPS) for metric in metrics
    ]
    return lines
