"""Which class the rows of each class look like: by the nearest class mean, by text, or by a classifier.

Axes: N rows, K classes, D feature width, E text width.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from pading.classes import ClassTable
from pading.zeroshot.features import Features

NO_OBJECT_NAME = "no object"


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """A share of the rows of one class that was taken for another class, or for no-object."""

    of: str
    taken_for: str
    share: float

    def __str__(self) -> str:
        return f"{self.of} -> {self.taken_for} {100 * self.share:.0f} %"


def class_means(features: Features, num_classes: int) -> Float[Tensor, "K D"]:
    """Return the mean row of each class; NaN for a class without rows. No-object rows are not used."""
    sums = torch.zeros(num_classes + 1, features.embeddings.shape[1], dtype=torch.float64)
    sums.index_add_(0, features.labels.cpu(), features.embeddings.cpu().double())
    counts = torch.bincount(features.labels.cpu(), minlength=num_classes + 1)
    return (sums / torch.where(counts > 0, counts, torch.nan)[:, None])[:-1].float()


def nearest_means(rows: Float[Tensor, "N D"], means: Float[Tensor, "K D"]) -> Int64[Tensor, "N"]:
    """Return for each row the class whose mean is nearest; classes without a mean (NaN) are never nearest.

    Raises:
        ValueError: if no class has a mean.
    """
    is_there = means.isfinite().all(dim=1)
    if not is_there.any():
        raise ValueError("no class has a mean: there is no real feature to compare with")
    there = torch.nonzero(is_there).flatten()
    return there[torch.cdist(rows, means[there], compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)]


def nearest_texts(text: Float[Tensor, "K E"]) -> tuple[Int64[Tensor, "K"], Float[Tensor, "K"]]:
    """Return for each class the other class whose text embedding is nearest, and their cosine."""
    unit = F.normalize(text, dim=1)
    cosines = (unit @ unit.T).fill_diagonal_(-torch.inf)
    nearest = cosines.max(dim=1)
    return nearest.indices, nearest.values


def taken_for(labels: Int64[Tensor, "N"], found: Int64[Tensor, "N"], num_classes: int) -> Float[Tensor, "K K1"]:
    """Return the share of each class's rows that was found to be each class or, last, no-object; 0 without rows."""
    size = num_classes + 1
    counts = torch.bincount(labels * size + found, minlength=size * size).view(size, size)[:-1].double()
    return counts / counts.sum(dim=1, keepdim=True).clamp_min(1)


def confusions(
    shares: Float[Tensor, "K K1"], classes: ClassTable, wanted: Iterable[int], smallest: float = 0.1
) -> list[Confusion]:
    """Return what the rows of the wanted classes were mistaken for, the largest share first, down to the smallest."""
    names = (*classes.names, NO_OBJECT_NAME)
    found = [
        Confusion(of=names[index], taken_for=names[other], share=share)
        for index in wanted
        for other, share in enumerate(shares[index].tolist())
        if other != index and share >= smallest
    ]
    return sorted(found, key=lambda confusion: -confusion.share)
