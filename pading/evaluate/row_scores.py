"""All that a row of the results earned on some images: of each task, in both settings, and along the trade-off curve.

A row is scored once on every image; what is reported is a function of these scores.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pading.evaluate.curve import CurveTally
from pading.evaluate.per_image import ImageScores
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


def _concatenated(parts: Collection[Mapping[Task, ImageScores]]) -> dict[Task, ImageScores]:
    tasks = {task: None for part in parts for task in part}
    return {task: ImageScores.concatenate([part[task] for part in parts if task in part]) for task in tasks}
