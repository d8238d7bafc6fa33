"""The best class of each query or pixel, with seen classes at any handicap: ZegFormer's calibration.

argmax_c score(c) - penalty [c seen] lies between two candidates, the best seen and the best unseen class; both are
found once and serve every penalty. Axes: K classes, N queries or pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """The best seen class, the best unseen one, and by how much the first one leads; infinitely, if it is alone."""

    seen: Int64[Tensor, "N"]
    unseen: Int64[Tensor, "N"]
    lead: Float[Tensor, "N"]

    def labels(self, seen_penalty: float) -> Int64[Tensor, "N"]:
        """Return argmax_c score(c) - seen_penalty [c seen], the first class among equals."""
        labels = torch.where(self.lead > seen_penalty, self.seen, self.unseen)
        return torch.where(self.lead == seen_penalty, torch.minimum(self.seen, self.unseen), labels)


def choose(scores: Float[Tensor, "K N"], is_seen: Sequence[bool]) -> Choice:
    """Return the candidates of every column."""
    seen, best_seen = _best_of(scores, [index for index, seen in enumerate(is_seen) if seen])
    unseen, best_unseen = _best_of(scores, [index for index, seen in enumerate(is_seen) if not seen])
    return Choice(seen=seen, unseen=unseen, lead=best_seen - best_unseen)


def first_largest(values: Float[Tensor, "..."], dim: int = 0) -> Int64[Tensor, "..."]:
    """Return where along a dimension the largest value is, the first among equals; faster than argmax over rows."""
    num_rows = values.shape[dim]
    countdown = torch.arange(num_rows, 0, -1, dtype=torch.uint8 if num_rows < 256 else torch.int32)
    countdown = countdown.view(-1, *[1] * (values.ndim - dim - 1))
    return num_rows - ((values >= values.amax(dim=dim, keepdim=True)) * countdown).amax(dim=dim).long()


def _best_of(scores: Float[Tensor, "K N"], group: Sequence[int]) -> tuple[Int64[Tensor, "N"], Float[Tensor, "N"]]:
    """Return the best class of a group and its score; of an empty group, no class can have less."""
    if not group:
        return torch.zeros(scores.shape[1], dtype=torch.int64), torch.full_like(scores[0], -torch.inf)
    rows = torch.tensor(group)
    values = scores[rows]
    first = first_largest(values)
    return rows[first], values.gather(0, first[None])[0]
