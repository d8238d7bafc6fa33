"""Images x rows -> what each row earned: the work on an image is shared, and what is left is done for all rows at once.

Axes: R rows, Q queries, K classes, C counted things, P penalties.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from pading.classes import ClassTable
from pading.evaluate.counting import PreparedImage, prepare
from pading.evaluate.curve import CURVE_COUNTED, CurveTally
from pading.evaluate.inference import InferenceConfig, instance_rows
from pading.evaluate.instance import IOU_THRESHOLDS, InstanceTally, count_rows
from pading.evaluate.panoptic_rows import count_panoptic_rows
from pading.evaluate.per_image import ImageScores
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.row_scores import Asked, RowScores
from pading.evaluate.scorer import Scorer
from pading.evaluate.semantic_rows import count_semantic_rows
from pading.splits.split import Task


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ledger:
    """What some rows earned in one task and setting: an entry for each image."""

    task: Task
    classes: ClassTable
    image_ids: list[int] = field(default_factory=list)
    counts: list[Float64[np.ndarray, "R K C"]] = field(default_factory=list)
    detections: list[list[InstanceTally]] = field(default_factory=list)
    curves: list[Float64[np.ndarray, "R C P K"]] = field(default_factory=list)  # at most one: the sum over images

    def add_image(self, prepared: PreparedImage, counted: Sequence[Float64[np.ndarray, "*R K"]], num_rows: int) -> None:
        """Keep what was counted, behind what any row has: segments that some query covers, and all of them."""
        num_classes = self.classes.num_classes
        recall = prepared.mask_recall(num_classes)
        columns = (recall.num_found, recall.num_true, *counted)
        counts = np.empty((num_rows, num_classes, len(columns)))
        for index, column in enumerate(columns):
            counts[..., index] = column
        self.image_ids.append(prepared.image.image_id)
        self.counts.append(counts)

    def add_curve(self, counts: Float64[np.ndarray, "C R P K"]) -> None:
        """Add an image's counts under each penalty; such sums have no rounding."""
        by_row = np.moveaxis(counts, 0, 1)
        if self.curves:
            self.curves[0] += by_row
        else:
            self.curves.append(by_row.copy())

    def scores(self, row: int) -> ImageScores:
        """Return the scores of one row."""
        counts = np.stack([counted[row] for counted in self.counts])  # (images, K, C)
        image_ids = np.array(self.image_ids, dtype=np.int64)
        images, classes = np.nonzero(counts.any(axis=2))
        scores = ImageScores(
            task=self.task,
            num_classes=self.classes.num_classes,
            image_ids=image_ids,
            pair_image_ids=image_ids[images],
            pair_classes=classes.astype(np.int64),
            counts=counts[images, classes],
            detections=InstanceTally.total([tallies[row] for tallies in self.detections]) if self.detections else None,
        )
        return ImageScores.concatenate([scores])


def score_images(
    images: Iterable[ImagePrediction], scorers: Sequence[Scorer], classes: ClassTable, asked: Asked
) -> list[RowScores]:
    """Return each scorer's scores of all images.

    Raises:
        ValueError: if there is no image or one occurs twice, a scorer returns another shape or NaN, or an image has a
            class that the table lacks.
    """
    batches = _batches(scorers)
    world = asked.world
    ledgers = [
        (
            {task: _Ledger(task=task, classes=classes) for task in asked.tasks},
            {} if world is None else {task: _Ledger(task=task, classes=world.classes) for task in asked.tasks},
        )
        for _ in batches
    ]
    for image in images:
        prepared = prepare(image, classes)
        inside = None if world is None else world.prepared(prepared)
        for (config, members), (generalised, unseen_only) in zip(batches, ledgers, strict=True):
            probabilities = torch.stack([scorers[number].probabilities(image, classes) for number in members])
            _count(prepared, probabilities, config, generalised, asked.penalties)
            if inside is not None and world is not None:
                inner = world.probabilities(probabilities.flatten(0, 1)).view(*probabilities.shape[:2], -1)
                _count(inside, inner, config, unseen_only, ())
    if any(not ledger.image_ids for generalised, _ in ledgers for ledger in generalised.values()):
        raise ValueError("no image was scored; were any predictions cached?")
    rows: dict[int, RowScores] = {}
    for (_, members), (generalised, unseen_only) in zip(batches, ledgers, strict=True):
        for place, number in enumerate(members):
            rows[number] = RowScores(
                generalised={task: ledger.scores(place) for task, ledger in generalised.items()},
                unseen_only={task: ledger.scores(place) for task, ledger in unseen_only.items() if ledger.image_ids},
                curves={
                    task: CurveTally(task=task, counts=ledger.curves[0][place])
                    for task, ledger in generalised.items()
                    if ledger.curves
                },
            )
    return [rows[number] for number in range(len(scorers))]


def score_rows(image: ImagePrediction, scorers: Sequence[Scorer], classes: ClassTable, asked: Asked) -> list[RowScores]:
    """Return each scorer's scores of one image, as `score_images` does."""
    return score_images([image], scorers, classes, asked)


def _batches(scorers: Sequence[Scorer]) -> list[tuple[InferenceConfig, list[int]]]:
    """Return the numbers of the scorers that share their settings."""
    batches: dict[InferenceConfig, list[int]] = {}
    for number, scorer in enumerate(scorers):
        batches.setdefault(scorer.inference, []).append(number)
    return list(batches.items())


def _count(
    prepared: PreparedImage,
    probabilities: Float[Tensor, "R Q K1"],
    config: InferenceConfig,
    ledgers: dict[Task, _Ledger],
    penalties: tuple[float, ...],
) -> None:
    """Count one image for all rows of a batch, in every task that has a ledger."""
    scale = tuple(sorted({config.seen_penalty, *penalties}))
    own, curve = scale.index(config.seen_penalty), [scale.index(penalty) for penalty in penalties]
    num_rows, image, masks = len(probabilities), prepared.image, prepared.masks
    for task, ledger in ledgers.items():
        classes = ledger.classes
        if task == "instance":
            found = instance_rows(probabilities, masks, classes, config)
            tallies = count_rows(image.image_id, found, prepared.overlaps, classes.is_thing, IOU_THRESHOLDS)
            ledger.detections.append(tallies)
            ledger.add_image(prepared, [tallies[0].num_true], num_rows)
            continue
        if task == "panoptic":
            tally = count_panoptic_rows(
                probabilities, masks.groups, prepared.truth, image.segments, classes, config, scale
            )
            counts = np.stack(
                [*tally.iou_parts, tally.true_positives, tally.false_positives, tally.false_negatives], dtype=np.float64
            )
            counted = [tally.iou_sum[:, own], tally.true_positives[:, own], tally.weight[:, own]]
        else:
            counts = count_semantic_rows(probabilities, masks.groups, prepared.truth, classes, scale)
            counted = [*counts[:, :, own]]
        ledger.add_image(prepared, counted, num_rows)
        if penalties:
            assert len(counts) == len(CURVE_COUNTED[task])
            ledger.add_curve(counts[:, :, curve])
