"""What a text embedding says of the unseen classes: the seen classes nearest to each, and classes it cannot tell apart.

Read before training: cow should be near sheep; if it is near toaster, rows and names do not belong together.
"""

from dataclasses import dataclass

import numpy as np

from pading.classes import ClassTable
from pading.text.embeddings import TextEmbeddings

ALIKE = 1 - 1e-5  # cosine from which two classes are the same to every classifier


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A seen class and the cosine of its text embedding with an unseen one's."""

    name: str
    cosine: float


def nearest_neighbours(embeddings: TextEmbeddings, classes: ClassTable, k: int = 3) -> dict[str, tuple[Neighbour, ...]]:
    """Return for each unseen class its k nearest seen classes (all if there are fewer), the nearest first.

    Raises:
        ValueError: if k is not positive, or the embeddings are not those of the class table.
    """
    if k < 1:
        raise ValueError(f"k is {k}: ask for at least one neighbour")
    matrix = embeddings.for_classes(classes).matrix.astype(np.float64)
    cosines = matrix[list(classes.unseen)] @ matrix[list(classes.seen)].T  # (unseen, seen)
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return {
        classes.names[unseen]: tuple(
            Neighbour(name=classes.names[classes.seen[column]], cosine=round(float(cosines[row, column]), 6))
            for column in nearest[row]
        )
        for row, unseen in enumerate(classes.unseen)
    }


def indistinguishable(embeddings: TextEmbeddings) -> tuple[tuple[str, str], ...]:
    """Return the pairs of classes whose embeddings are the same vector, such as two names that one word stands for."""
    matrix = embeddings.matrix.astype(np.float64)
    first, second = np.nonzero(np.triu(matrix @ matrix.T >= ALIKE, k=1))
    return tuple((embeddings.names[i], embeddings.names[j]) for i, j in zip(first, second, strict=True))


def neighbour_table(neighbours: dict[str, tuple[Neighbour, ...]]) -> list[str]:
    """Return one line per unseen class: its name, then its nearest seen classes with their cosines."""
    width = max((len(name) for name in neighbours), default=0)
    return [
        f"{name:<{width}}  {', '.join(f'{near.name} {near.cosine:.2f}' for near in nearest)}"
        for name, nearest in neighbours.items()
    ]
