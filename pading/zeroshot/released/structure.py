"""Disentanglement and alignment as PADing's code has them (eq. 4-6); only synthetic features are looked at.

Axes: N seen and U unseen rows, K classes, D feature width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pading.zeroshot.dropout import drop
from pading.zeroshot.initialise import initialise_as_torch

TEMPERATURE = 0.1
RELATION_SCALE = 0.2
UNRELATED_SCALE = 0.5


@dataclass(frozen=True, kw_only=True)
class ReleasedStructureConfig:
    """Weights of the terms; the code's names are WEIGHT_1 (alignment and unrelated), _2 (relation), _3."""

    alignment_weight: float = 1.0
    unrelated_weight: float = 1.0
    relation_weight: float = 1.0
    reconstruction_weight: float = 0.5
    dropout: float = 0.1  # of encoders and decoder; 0.2 for the semantic task
    related_to: Literal["all", "seen"] = "all"  # classes that seen rows are told apart from; "seen" with word vectors

    def __post_init__(self) -> None:
        weights = (self.alignment_weight, self.unrelated_weight, self.relation_weight, self.reconstruction_weight)
        if min(weights) < 0 or not 0 <= self.dropout < 1:
            raise ValueError(f"weights {weights} and dropout {self.dropout}: not negative, and in [0, 1)")


class Encoder(nn.Module):
    """Two linear layers back to back, then a leaky ReLU and dropout."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, rows: Float[Tensor, "N D"], randomness: torch.Generator) -> Float[Tensor, "N D"]:
        """Return the part of each row that this encoder stands for."""
        return _rectify_and_drop(self.second(self.first(rows)), self.dropout, randomness)


class Decoder(nn.Module):
    """Two linear layers, each with a leaky ReLU and dropout after it: the output is rectified and dropped out too."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2 * width, width), nn.Linear(width, width)
        self.dropout = dropout

    def forward(self, parts: Float[Tensor, "N 2D"], randomness: torch.Generator) -> Float[Tensor, "N D"]:
        """Return what both parts together make of a row."""
        hidden = _rectify_and_drop(self.first(parts), self.dropout, randomness)
        return _rectify_and_drop(self.second(hidden), self.dropout, randomness)


class RelationNet(nn.Module):
    """A score in (0, 1) of how well a related part and a projected class text go together."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pair, self.score = nn.Linear(2 * width, width), nn.Linear(width, 1)

    def forward(self, related: Float[Tensor, "N D"], projected: Float[Tensor, "K D"]) -> Float[Tensor, "N K"]:
        """Return the score of every pair; the first layer is linear in both, so its halves are computed apart."""
        of_row, of_class = self.pair.weight.chunk(2, dim=1)
        hidden = (related @ of_row.T).unsqueeze(1) + (projected @ of_class.T + self.pair.bias)  # (N, K, D)
        scores: Tensor = torch.sigmoid(self.score(F.relu(hidden))).squeeze(2)
        return scores


class ReleasedDisentangler(nn.Module):
    """E_r, E_u, the decoder and the relation net."""

    def __init__(self, width: int, dropout: float, randomness: torch.Generator) -> None:
        super().__init__()
        self.related, self.unrelated = Encoder(width, dropout), Encoder(width, dropout)
        self.decoder, self.relation = Decoder(width, dropout), RelationNet(width)
        initialise_as_torch(self, randomness)


def structure_terms(
    disentangler: ReleasedDisentangler | None,
    seen: Float[Tensor, "N D"],
    seen_labels: Int64[Tensor, "N"],
    unseen: Float[Tensor, "U D"],
    projected: Float[Tensor, "K D"],
    seen_classes: Int64[Tensor, "S"],
    unseen_classes: Int64[Tensor, "U"],
    config: ReleasedStructureConfig,
    randomness: torch.Generator,
) -> dict[str, Float[Tensor, ""]]:
    """Return the weighted terms of L_A + L_D: the alignment and, with a disentangler, relation, unrelated part, rest.

    `seen` and `unseen` are synthetic, row i of `unseen` of class `unseen_classes[i]`; `projected` is W_a a of all
    classes, and is trained by every term. Without a disentangler the features themselves are aligned.
    """
    if disentangler is None:
        aligned = alignment(seen, projected[seen_labels], unseen, projected[unseen_classes])
        return {"alignment": config.alignment_weight * aligned}
    rows = {"seen": seen, "unseen": unseen}
    related = {group: disentangler.related(features, randomness) for group, features in rows.items()}
    unrelated = {group: disentangler.unrelated(features, randomness) for group, features in rows.items()}
    rebuilt = {
        group: disentangler.decoder(torch.cat([related[group], unrelated[group]], dim=1), randomness) for group in rows
    }
    candidates = torch.arange(len(projected), device=seen.device) if config.related_to == "all" else seen_classes
    relation = {
        "seen": relation_classification(
            disentangler.relation(related["seen"], projected[candidates]), torch.searchsorted(candidates, seen_labels)
        ),
        "unseen": relation_classification(
            disentangler.relation(related["unseen"], projected[unseen_classes]),
            torch.arange(len(unseen), device=seen.device),
        ),
    }
    return {
        "alignment": config.alignment_weight
        * alignment(related["seen"], projected[seen_labels], related["unseen"], projected[unseen_classes]),
        "unrelated": config.unrelated_weight
        * UNRELATED_SCALE
        * _mean({group: random_pattern(part, randomness) for group, part in unrelated.items()}),
        "relation": config.relation_weight * RELATION_SCALE * _mean(relation),
        "reconstruction": config.reconstruction_weight
        * _mean({group: F.l1_loss(rebuilt[group], rows[group]) for group in rows}),
    }


def alignment(
    seen: Float[Tensor, "N D"],
    seen_text: Float[Tensor, "N D"],
    unseen: Float[Tensor, "U D"],
    unseen_text: Float[Tensor, "U D"],
) -> Float[Tensor, ""]:
    """Return the mean divergence of cosines of features from cosines of projected texts (the code's form of eq. 6).

    Blocks are seen to seen, unseen to unseen and seen to unseen; each is divided by its number of elements. The texts
    get gradients: they can move towards the features.
    """
    pairs = ((seen, seen, seen_text, seen_text), (unseen, unseen, unseen_text, unseen_text))
    blocks = [
        element_divergence(_cosine(rows, others), _cosine(row_text, other_text))
        for rows, others, row_text, other_text in (*pairs, (seen, unseen, seen_text, unseen_text))
    ]
    return torch.stack(blocks).mean()


def element_divergence(found: Float[Tensor, "N M"], wanted: Float[Tensor, "N M"]) -> Float[Tensor, ""]:
    """Return the sum over rows of KL(softmax(wanted / T) || softmax(found / T)) over the number of elements, T = 0.1.

    The mean over rows would be M times as much.
    """
    found_log, wanted_log = (torch.log_softmax(rows / TEMPERATURE, dim=1) for rows in (found, wanted))
    return F.kl_div(found_log, wanted_log, log_target=True, reduction="sum") / found.numel()


def random_pattern(unrelated: Float[Tensor, "N D"], randomness: torch.Generator) -> Float[Tensor, ""]:
    """Return the element divergence of each row, read as logits over its dimensions, from a fresh Gaussian row.

    The target is a random pattern that the largest few of the draws decide; it is not the density of a Gaussian.
    """
    drawn = torch.randn(unrelated.shape, dtype=unrelated.dtype, device=unrelated.device, generator=randomness)
    return element_divergence(unrelated, drawn)


def relation_classification(scores: Float[Tensor, "N K"], labels: Int64[Tensor, "N"]) -> Float[Tensor, ""]:
    """Return the cross-entropy in which scores between 0 and 1 serve as logits; over 133 classes, 3.90 at the best."""
    return F.cross_entropy(scores, labels)


def _mean(groups: dict[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
    """Average the terms of seen and unseen rows."""
    return torch.stack(list(groups.values())).mean()


def _cosine(rows: Float[Tensor, "N D"], others: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
    return F.normalize(rows, dim=1) @ F.normalize(others, dim=1).T


def _rectify_and_drop(rows: Float[Tensor, "N D"], rate: float, randomness: torch.Generator) -> Float[Tensor, "N D"]:
    rows = F.leaky_relu(rows, 0.2)
    if rate == 0:
        return rows
    return drop(rows, torch.randn(rows.shape, dtype=rows.dtype, device=rows.device, generator=randomness), rate)
