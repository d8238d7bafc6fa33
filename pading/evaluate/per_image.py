"""What a scorer earned on each image, kept apart by image, so that images can be weighted and drawn again.

Every quality that a task is judged by is a function of sums over images; with all weights 1 it is the quality of
`report.metrics`. Axes: N images, K classes, M pairs of an image and a class, C counted things, R sets of weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from pading.classes import ClassTable
from pading.evaluate import instance, panoptic, semantic
from pading.evaluate.inference import instances, panoptic_map, semantic_map, upsampled_masks
from pading.evaluate.instance import InstanceTally
from pading.evaluate.overlap import overlap
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.report import require_known_classes
from pading.evaluate.scorer import Scorer
from pading.evaluate.weighted_precision import weighted_precision
from pading.splits.split import Task

# The first quality is the one that a task is judged by.
QUALITIES: dict[Task, tuple[str, ...]] = {
    "panoptic": ("pq", "sq", "rq"),
    "semantic": ("miou",),
    "instance": ("ap50", "recall100"),
}
# The last thing counted is positive exactly where the class is present, in the truth or the prediction.
COUNTED: dict[Task, tuple[str, ...]] = {
    "panoptic": ("iou_sum", "true_positives", "weight"),
    "semantic": ("correct", "union"),
    "instance": ("num_true",),
}
RATIOS = {
    "pq": ("iou_sum", "weight"),
    "sq": ("iou_sum", "true_positives"),
    "rq": ("true_positives", "weight"),
    "miou": ("correct", "union"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageScores:
    """One scorer's counts by image and class, for the pairs that have any; and of the instance task, detections."""

    task: Task
    num_classes: int
    image_ids: Int64[np.ndarray, "N"]
    pair_image_ids: Int64[np.ndarray, "M"]
    pair_classes: Int64[np.ndarray, "M"]
    counts: Float64[np.ndarray, "M C"]  # see COUNTED
    detections: InstanceTally | None

    @staticmethod
    def concatenate(parts: "Sequence[ImageScores]") -> "ImageScores":
        """Return the scores of different images together, in the order of their ids.

        Raises:
            ValueError: if there is no part, or an image is in two of them.
        """
        if not parts:
            raise ValueError("no image was scored; were any predictions cached?")
        image_ids = np.sort(np.concatenate([part.image_ids for part in parts]))
        if len(repeated := np.flatnonzero(np.diff(image_ids) == 0)):
            raise ValueError(f"image {image_ids[repeated[0]]} was scored twice; redo the cache stage")
        pair_image_ids = np.concatenate([part.pair_image_ids for part in parts])
        order = np.argsort(pair_image_ids, kind="stable")
        tallies = [part.detections for part in parts if part.detections is not None]
        return ImageScores(
            task=parts[0].task,
            num_classes=parts[0].num_classes,
            image_ids=image_ids,
            pair_image_ids=pair_image_ids[order],
            pair_classes=np.concatenate([part.pair_classes for part in parts])[order],
            counts=np.concatenate([part.counts for part in parts])[order],
            detections=InstanceTally.total(tallies) if tallies else None,
        )

    def quality(self, name: str, weights: Float64[np.ndarray, "R N"]) -> Float64[np.ndarray, "R K"]:
        """Return a quality of each class, as a fraction, where image n counts weights[:, n] times; NaN if absent.

        Weights are in the order of `image_ids`, as `concatenate` left it.

        Raises:
            ValueError: if the task has no such quality, or there is not one weight an image.
        """
        if name not in QUALITIES[self.task]:
            raise ValueError(f"{self.task} has no {name!r}: it has {', '.join(QUALITIES[self.task])}")
        if weights.ndim != 2 or weights.shape[1] != len(self.image_ids):
            raise ValueError(f"weights {weights.shape} for {len(self.image_ids)} images: pass one column an image")
        if self.task == "instance":
            assert self.detections is not None
            precision, recall = weighted_precision(
                self.detections, self.image_ids, weights, weights @ self._dense("num_true")
            )
            return precision if name == "ap50" else recall
        above, below = RATIOS[name]
        numerator, denominator = weights @ self._dense(above), weights @ self._dense(below)
        presence = COUNTED[self.task][-1]
        is_present = (denominator if below == presence else weights @ self._dense(presence)) > 0
        ratio = numerator / np.where(denominator > 0, denominator, 1.0)
        return np.where(is_present, ratio, np.nan)

    def _dense(self, counted: str) -> Float64[np.ndarray, "N K"]:
        dense = np.zeros((len(self.image_ids), self.num_classes))
        rows = np.searchsorted(self.image_ids, self.pair_image_ids)
        dense[rows, self.pair_classes] = self.counts[:, COUNTED[self.task].index(counted)]
        return dense


def score_image(
    image: ImagePrediction, scorers: Sequence[Scorer], classes: ClassTable, task: Task
) -> list[ImageScores]:
    """Return each scorer's counts of one image, in what its task is judged by; see `report.evaluate_image`.

    Raises:
        ValueError: if a scorer returns another shape or NaN, or the image has a class that the table lacks.
    """
    require_known_classes(image, classes)
    masks = upsampled_masks(image)
    overlaps = overlap(masks.is_positive, image.label_maps, image.segments) if task == "instance" else None
    scores = []
    for scorer in scorers:
        probabilities, config = scorer.probabilities(image, classes), scorer.inference
        detections: InstanceTally | None = None
        if task == "panoptic":
            found = panoptic_map(probabilities, masks, classes, config)
            tally = panoptic.count_image(
                found.label_map, found.classes, image.label_map, image.segments, classes.num_classes
            )
            counts = [tally.iou_sum, tally.true_positives, tally.weight]
        elif task == "semantic":
            confusion = semantic.count_image(
                semantic_map(probabilities, masks, classes, config),
                image.label_map,
                image.segments,
                classes.num_classes,
            ).confusion
            correct = np.diagonal(confusion)
            counts = [correct, confusion.sum(axis=0) + confusion.sum(axis=1) - correct]
        else:
            assert overlaps is not None
            detected = instances(probabilities, masks, classes, config)
            detections = instance.count_image(image.image_id, detected, overlaps, classes.is_thing)
            counts = [detections.num_true]
        scores.append(_scores(image.image_id, np.stack(counts, axis=1).astype(np.float64), task, detections))
    return scores


def _scores(
    image_id: int, counts: Float64[np.ndarray, "K C"], task: Task, detections: InstanceTally | None
) -> ImageScores:
    present = np.flatnonzero(counts.any(axis=1))
    return ImageScores(
        task=task,
        num_classes=len(counts),
        image_ids=np.array([image_id], dtype=np.int64),
        pair_image_ids=np.full(len(present), image_id, dtype=np.int64),
        pair_classes=present.astype(np.int64),
        counts=counts[present],
        detections=detections,
    )
