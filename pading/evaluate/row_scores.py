"""All that a row of the results earned on some images: of each task, in both settings, and along the trade-off curve.

A row is scored once on every image; what is reported is a function of these scores.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.evaluate.counting import PreparedImage, count_panoptic, prepare
from pading.evaluate.curve import CurveTally, panoptic_curve, semantic_curve
from pading.evaluate.inference import InferenceConfig, semantic_choice
from pading.evaluate.per_image import ImageScores, score_prepared, scores_of_tally
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.scorer import Scorer
from pading.evaluate.semantic import count_image
from pading.evaluate.unseen_world import UnseenWorld
from pading.splits.split import Task


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be scored: tasks, the world of unseen classes if that is, and the penalties of the curve if any."""

    tasks: tuple[Task, ...]
    world: UnseenWorld | None = None
    penalties: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class RowScores:
    """One row's scores: among all classes; in the world of unseen ones, on its images; and under each penalty."""

    generalised: Mapping[Task, ImageScores]
    unseen_only: Mapping[Task, ImageScores] = field(default_factory=dict)
    curves: Mapping[Task, CurveTally] = field(default_factory=dict)

    @staticmethod
    def concatenate(parts: "Sequence[RowScores]") -> "RowScores":
        """Return the scores of different images together; how they were grouped does not matter, to the last bit.

        Raises:
            ValueError: if there is no part, or an image is in two of them.
        """
        if not parts:
            raise ValueError("no image was scored; were any predictions cached?")
        return RowScores(
            generalised=_concatenated([part.generalised for part in parts]),
            unseen_only=_concatenated([part.unseen_only for part in parts]),
            curves={
                task: CurveTally.total([part.curves[task] for part in parts if task in part.curves])
                for task in {task: None for part in parts for task in part.curves}
            },
        )


def score_rows(image: ImagePrediction, scorers: Sequence[Scorer], classes: ClassTable, asked: Asked) -> list[RowScores]:
    """Return each scorer's scores of one image; what they share is done once.

    Raises:
        ValueError: if a scorer returns another shape or NaN, or the image has a class that the table lacks.
    """
    prepared = prepare(image, classes)
    inside = None if asked.world is None else asked.world.prepared(prepared)
    rows = []
    for scorer in scorers:
        probabilities, config = scorer.probabilities(image, classes), scorer.inference
        generalised, curves = _generalised(prepared, probabilities, classes, config, asked)
        unseen_only = {} if inside is None else _unseen_only(inside, probabilities, config, asked)
        rows.append(RowScores(generalised=generalised, unseen_only=unseen_only, curves=curves))
    return rows


def _generalised(
    prepared: PreparedImage,
    probabilities: Float[Tensor, "Q K1"],
    classes: ClassTable,
    config: InferenceConfig,
    asked: Asked,
) -> tuple[dict[Task, ImageScores], dict[Task, CurveTally]]:
    image, recall = prepared.image, prepared.mask_recall(classes.num_classes)
    scores: dict[Task, ImageScores] = {}
    curves: dict[Task, CurveTally] = {}
    for task in asked.tasks:
        if task == "instance" or not asked.penalties:
            scores[task] = score_prepared(prepared, probabilities, classes, task, config)
        elif task == "panoptic":
            penalties = (config.seen_penalty, *asked.penalties)
            own, *others = count_panoptic(prepared, probabilities, classes, config, penalties)
            scores[task], curves[task] = scores_of_tally(image.image_id, own, recall), panoptic_curve(others)
        else:
            choice = semantic_choice(probabilities, prepared.masks, classes)
            found = choice.labels(config.seen_penalty).reshape(image.label_map.shape).numpy()
            tally = count_image(found, image.label_map, image.segments, classes.num_classes)
            scores[task] = scores_of_tally(image.image_id, tally, recall)
            curves[task] = semantic_curve(choice, image.label_map, image.segments, asked.penalties, classes.num_classes)
    return scores, curves


def _unseen_only(
    inside: PreparedImage, probabilities: Float[Tensor, "Q K1"], config: InferenceConfig, asked: Asked
) -> dict[Task, ImageScores]:
    assert asked.world is not None
    inner = asked.world.probabilities(probabilities)
    return {task: score_prepared(inside, inner, asked.world.classes, task, config) for task in asked.tasks}


def _concatenated(parts: Collection[Mapping[Task, ImageScores]]) -> dict[Task, ImageScores]:
    tasks = {task: None for part in parts for task in part}
    return {task: ImageScores.concatenate([part[task] for part in parts if task in part]) for task in tasks}
