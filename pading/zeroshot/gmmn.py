"""The generative moment matching network: the plain generator that the primitives are compared with (ZS3).

Axes: K classes, N samples of each, D feature width, E text width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.zeroshot.initialise import initialise_linear


@dataclass(frozen=True, kw_only=True)
class GmmnConfig:
    """Shape of the network."""

    hidden: int = 256  # ZS3's code

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError(f"hidden width is {self.hidden}: it must be positive")


class Gmmn(nn.Module):
    """Two linear layers with a leaky ReLU between them, from class text and noise to a feature.

    Differs from ZS3 in the noise (unit Gaussian of the feature's width, as the primitive generator's) and in having no
    dropout; see the fairness note of `methods`.
    """

    def __init__(self, config: GmmnConfig, text_width: int, width: int, randomness: torch.Generator) -> None:
        super().__init__()
        self.noise_width = width
        self.hidden = nn.Linear(text_width + width, config.hidden)
        self.output = nn.Linear(config.hidden, width)
        initialise_linear(self, randomness)

    def forward(self, text: Float[Tensor, "K E"], noise: Float[Tensor, "K N D"]) -> Float[Tensor, "K N D"]:
        """Return one synthetic feature for each noise vector."""
        text = text.unsqueeze(1).expand(-1, noise.shape[1], -1)
        hidden = F.leaky_relu(self.hidden(torch.cat([text, noise], dim=2)), 0.2)
        synthetic: Tensor = self.output(hidden)
        return synthetic
