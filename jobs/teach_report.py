"""What teaching a name, or forgetting one, did to the other classes; and what the name is near to."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from jobs.model import Model
from pading.classes import ClassTable
from pading.evaluate.predictions import read_predictions, renumber_truth
from pading.evaluate.report import ImageTally, evaluate_image, group_mean, harmonic_mean
from pading.evaluate.scorer import head_scorer
from pading.splits.split import Task
from pading.text.embeddings import TextEmbeddings
from pading.zeroshot.classifier import Classifier, LinearClassifier
from pading.zeroshot.vocabulary import carry_head, renumbered

NUM_IMAGES = 500  # the first val images, enough to see a point of difference; COCO's 5,000 would take minutes
NUM_NEAREST = 3
MEASURES: dict[Task, str] = {"panoptic": "PQ", "semantic": "IoU", "instance": "AP50"}


def nearest_names(embeddings: TextEmbeddings) -> str:
    """Return the names whose text is nearest to the last one's, with their cosines."""
    *names, _ = embeddings.names
    cosines = embeddings.matrix[:-1].astype(np.float64) @ embeddings.matrix[-1].astype(np.float64)
    nearest = np.argsort(-cosines, kind="stable")[:NUM_NEAREST]
    return ", ".join(f"{names[index]} {cosines[index]:.2f}" for index in nearest)


def quality_lines(
    model: Model, before: Classifier, after: Classifier, classes: ClassTable, files: Sequence[Path]
) -> list[str]:
    """Return a table of what the model was and is worth on the classes that it knew and knows.

    Both are scored with all names in play, known before or now; so an object of a forgotten class counts against the
    class that it is now taken for.
    """
    every = max(model.classes, classes, key=lambda table: table.num_classes)
    tallies = _tallies(model, (before, model.classes), (after, classes), every, files)
    values = [_class_values(tally, model.config.task) for tally in tallies]
    kept = set(model.classes.coco_ids) & set(classes.coco_ids)
    groups = {
        "seen": [index for index in every.seen if every.coco_ids[index] in kept],
        "unseen": [index for index in every.unseen if every.coco_ids[index] in kept],
    }
    means = {name: [100 * group_mean(column, group, "skip") for column in values] for name, group in groups.items()}
    means["hm"] = [harmonic_mean(*pair) for pair in zip(means["seen"], means["unseen"], strict=True)]
    title = f"{MEASURES[model.config.task]} of {len(kept)} classes, {tallies[0].num_images} val images"
    table = [f"  {title}: before -> after", *(f"    {name:7}{a:6.1f} -> {b:.1f}" for name, (a, b) in means.items())]
    changed = {every.coco_ids[index] for index in range(every.num_classes)} - kept
    for index in (every.index(coco_id) for coco_id in changed):
        shown = " -> ".join(f"{100 * column[index]:.1f}" for column in values)
        is_scored = tallies[0].mask_recall.num_true[index] > 0 and np.isfinite(values[0][index])
        table.append(f"    {every.names[index]}: {shown if is_scored else 'in none of them'}")
    return table


def _tallies(
    model: Model,
    before: tuple[Classifier, ClassTable],
    after: tuple[Classifier, ClassTable],
    every: ClassTable,
    files: Sequence[Path],
) -> list[ImageTally]:
    scorers = [
        head_scorer(name, _widened(classifier, table, every), model.config.inference)
        for name, (classifier, table) in {"before": before, "after": after}.items()
    ]
    numbers = renumbered(model.cached_classes, every).tolist()
    images = islice((image for file in files for image in read_predictions(file)), NUM_IMAGES)
    tallies = [evaluate_image(renumber_truth(image, numbers), scorers, every, (model.config.task,)) for image in images]
    return [ImageTally.total(column) for column in zip(*tallies, strict=True)]


def _widened(classifier: Classifier, table: ClassTable, every: ClassTable) -> LinearClassifier:
    assert isinstance(classifier, LinearClassifier)  # methods with a generator retrain a linear head
    return carry_head(classifier, table, every)


def _class_values(tally: ImageTally, task: Task) -> Float64[np.ndarray, "K"]:
    """Return the task's measure of each class, NaN where it was neither there nor found."""
    if task == "panoptic":
        assert tally.panoptic is not None
        return tally.panoptic.quality().pq
    if task == "semantic":
        assert tally.semantic is not None
        return tally.semantic.iou()
    assert tally.instance is not None
    return tally.instance.quality().average_precision
