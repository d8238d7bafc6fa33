"""Two guesses of where an unseen class lies: the generator's, and a regression from class text to mean features.

Their errors differ in kind. A generator gives the right spread and a mean that varies with its weights; a ridge
regression gives no spread and a mean that is drawn to the middle. Half-way between is nearer to the truth than either
(docs/decisions/0008).

Axes: R rows, S seen classes that have rows, U wanted classes, K classes, D feature width, E text width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pading.zeroshot.features import Features


@dataclass(frozen=True, kw_only=True)
class ClassMeansConfig:
    """How far synthetic features are moved towards the regressed mean of their class; 0 leaves them as they are."""

    share: float = 0.5
    penalty: float = 0.3  # of the regression, in units of a text's mean squared length

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.penalty <= 0:
            raise ValueError(f"share {self.share} must lie between 0 and 1, penalty {self.penalty} above 0")


def move_means(config: ClassMeansConfig, synthetic: Features, real: Features, text: Float[Tensor, "K E"]) -> Features:
    """Return synthetic features, each class moved as a whole by `share` of the way to its regressed mean.

    Raises:
        ValueError: if there is no real object to regress from.
    """
    if not config.share or not len(synthetic):
        return synthetic
    wanted, owner = _unique(synthetic.labels)
    sums = torch.zeros(len(wanted), synthetic.embeddings.shape[1], device=owner.device)
    means = sums.index_add(0, owner, synthetic.embeddings) / owner.bincount().unsqueeze(1)
    step = config.share * (regressed_means(real, text, wanted.tolist(), config.penalty) - means)
    return Features(synthetic.embeddings + step[owner], synthetic.labels, synthetic.image_ids)


def regressed_means(
    real: Features, text: Float[Tensor, "K E"], wanted: Sequence[int], penalty: float
) -> Float[Tensor, "U D"]:
    """Return m + T_u T_s' (T_s T_s' + penalty l I)^-1 (M_s - m): ridge regression of class means M_s on class texts.

    T_s and T_u are texts less the mean text of the seen classes, m is the mean of the class means, and l the mean
    squared length of T_s. Rows whose label is no class, as no-object, are not used.

    Raises:
        ValueError: if there is no real object to regress from.
    """
    objects = real.where(real.labels < len(text))
    if not len(objects):
        raise ValueError("there is no real object to regress class means from: cache features first")
    present, owner = _unique(objects.labels)
    sums = torch.zeros(len(present), objects.embeddings.shape[1], dtype=torch.float64, device=owner.device)
    means = sums.index_add(0, owner, objects.embeddings.double()) / owner.bincount().unsqueeze(1)
    centre: Tensor = means.mean(dim=0)
    texts = text.double() - text[present].double().mean(dim=0)
    seen = texts[present]
    ridge = penalty * seen.square().sum(dim=1).mean() * torch.eye(len(present), device=owner.device)
    if len(present) == 1:  # no text differs from the mean text
        return centre.float().expand(len(wanted), centre.shape[0])
    weights = torch.linalg.solve(seen @ seen.T + ridge, means - centre)
    regressed: Tensor = centre + texts[list(wanted)] @ seen.T @ weights
    return regressed.float()


def _unique(labels: Int64[Tensor, "R"]) -> tuple[Int64[Tensor, "S"], Int64[Tensor, "R"]]:
    """Return the labels that occur, and the position of each row's among them."""
    present, owner = torch.unique(labels, return_inverse=True)
    return present, owner
