"""How far the synthetic rows of each class are from its real ones, beside what chance alone makes of real rows.

Axes: N synthetic and M real rows of one class, D feature width, R halvings.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pading.randomness import generator_for
from pading.zeroshot.features import Features
from pading.zeroshot.mmd import mmd

FEWEST_ROWS = 4  # two halves of two
MOST_ROWS = 256  # of a class, so that a common class costs no more than a rare one
HALVINGS = 16


@dataclass(frozen=True, kw_only=True)
class ClassDiscrepancy:
    """One class; `mmd` is squared and unbiased, hence about zero (of either sign) for rows of one distribution."""

    num_real: int
    mmd: float
    floor: float  # root mean square of the same between random halves of the real rows: the size of chance
    spread: float  # summed variance of the synthetic rows over that of the real ones

    @property
    def ratio(self) -> float:
        """How many times the size of chance the discrepancy is."""
        return self.mmd / self.floor


def class_discrepancies(
    synthetic: Features, real: Features, wanted: Iterable[int], bandwidths: tuple[float, ...], seed: int
) -> dict[int, ClassDiscrepancy]:
    """Return the discrepancy of each wanted class that has at least four rows on both sides; the others are left out.

    Of a class with more than 256 rows, 256 drawn ones are compared. Rows of a class that are all equal have no chance
    to be compared with: they are left out too.
    """
    found = {}
    for index in wanted:
        ours = drawn_rows(synthetic.embeddings[synthetic.labels == index], seed, "synthetic", index)
        theirs = drawn_rows(real.embeddings[real.labels == index], seed, "real", index)
        if min(len(ours), len(theirs)) < FEWEST_ROWS:
            continue
        floor, spread = halves_discrepancy(theirs, bandwidths, seed), float(theirs.var(dim=0).sum())
        if floor > 0 and spread > 0:
            found[index] = ClassDiscrepancy(
                num_real=len(theirs),
                mmd=float(mmd(ours, theirs, bandwidths, "unbiased")),
                floor=floor,
                spread=float(ours.var(dim=0).sum()) / spread,
            )
    return found


def halves_discrepancy(rows: Float[Tensor, "M D"], bandwidths: tuple[float, ...], seed: int) -> float:
    """Return the root mean square, over random halvings, of the unbiased squared discrepancy between the halves."""
    source = generator_for(seed, "halves")
    half = len(rows) // 2
    orders = torch.stack([torch.randperm(len(rows), generator=source) for _ in range(HALVINGS)]).to(rows.device)
    first, second = rows[orders[:, :half]], rows[orders[:, half : 2 * half]]  # (R, half, D)
    return float(mmd(first, second, bandwidths, "unbiased").square().mean().sqrt())


def drawn_rows(rows: Float[Tensor, "N D"], seed: int, side: str, index: int) -> Float[Tensor, "n D"]:
    """Return at most 256 rows of a class, which depend on seed, side and class alone; all of them if they are fewer."""
    order = torch.randperm(len(rows), generator=generator_for(seed, "compared rows", side, index))
    return rows[order[:MOST_ROWS].to(rows.device)]
