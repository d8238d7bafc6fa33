"""Disentanglement: split a feature into a part that class text explains and a part that it does not (PADing, eq. 4-5).

Axes: N rows, K classes, D feature width, E text width.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from pading.zeroshot.initialise import initialise_linear


@dataclass(frozen=True, kw_only=True)
class DisentangleConfig:
    """Weights of the three terms, and the temperature of the relation scores."""

    related_weight: float = 1.0
    unrelated_weight: float = 1.0
    reconstruction_weight: float = 0.5  # PADing's code
    temperature: float = 0.1


class Parts(NamedTuple):
    """A feature as two parts, and what the decoder makes of both."""

    related: Float[Tensor, "N D"]
    unrelated: Float[Tensor, "N D"]
    reconstruction: Float[Tensor, "N D"]


class Disentangler(nn.Module):
    """Encoders of the related and the unrelated part, the decoder of both, and the projection of text to features."""

    def __init__(self, width: int, text_width: int, randomness: torch.Generator) -> None:
        super().__init__()
        self.related = _two_layers(width, width)
        self.unrelated = _two_layers(width, width)
        self.decoder = _two_layers(2 * width, width)
        self.text = nn.Linear(text_width, width)
        initialise_linear(self, randomness)

    def forward(self, features: Float[Tensor, "N D"]) -> Parts:
        """Split features and put them together again."""
        related, unrelated = self.related(features), self.unrelated(features)
        return Parts(related, unrelated, self.decoder(torch.cat([related, unrelated], dim=1)))

    def relation_scores(
        self, related: Float[Tensor, "N D"], text: Float[Tensor, "K E"], temperature: float
    ) -> Float[Tensor, "N K"]:
        """Return cosine(related part, projected class text) / temperature, the logits of eq. (4)."""
        return F.normalize(related, dim=1) @ F.normalize(self.text(text), dim=1).T / temperature


def disentanglement(
    disentangler: Disentangler,
    parts: Parts,
    features: Float[Tensor, "N D"],
    labels: Int64[Tensor, "N"],
    text: Float[Tensor, "K E"],
    config: DisentangleConfig,
) -> dict[str, Float[Tensor, ""]]:
    """Return the three weighted terms of eq. (5): related, unrelated, reconstruction.

    The printed equations are not available to us; this is their reading from the figures: the related part is
    classified among all class texts, the unrelated part follows a unit Gaussian, and both together keep everything.
    """
    scores = disentangler.relation_scores(parts.related, text, config.temperature)
    return {
        "related": config.related_weight * F.cross_entropy(scores, labels),
        "unrelated": config.unrelated_weight * gaussian_prior(parts.unrelated),
        "reconstruction": config.reconstruction_weight * F.l1_loss(parts.reconstruction, features),
    }


def gaussian_prior(rows: Float[Tensor, "N D"]) -> Float[Tensor, ""]:
    """Return KL(N(mean, variance) || N(0, 1)) of the batch's moments, averaged over dimensions.

    In closed form (mean^2 + variance - log variance - 1) / 2, the variance over N; zero for a standardised batch.

    Raises:
        ValueError: if there are fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError(f"moments of {len(rows)} rows: pass at least two")
    variance, mean = torch.var_mean(rows, dim=0, correction=0)
    return 0.5 * (mean.square() + variance - variance.clamp_min(1e-6).log() - 1).mean()


def _two_layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LeakyReLU(0.2), nn.Linear(outputs, outputs))
