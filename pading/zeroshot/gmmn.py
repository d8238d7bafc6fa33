"""The generative moment matching network: the plain generator that the primitives are compared with (ZS3).

Axes: K classes, N samples of each, D feature width, E text width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.zeroshot.dropout import drop
from pading.zeroshot.initialise import initialise_linear


@dataclass(frozen=True, kw_only=True)
class GmmnConfig:
    """Shape of the network."""

    hidden: int = 256  # ZS3's code
    dropout: float = 0.4  # PADing's copy; 0.5 in ZS3
    noise: Literal["gaussian", "uniform"] = "gaussian"  # uniform on [0, 1) in ZS3
    bias: float = 0.0  # of both layers at the start; 0.01 in PADing's copy

    def __post_init__(self) -> None:
        if self.hidden < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"hidden width {self.hidden} and dropout {self.dropout}: positive, and in [0, 1)")


class Gmmn(nn.Module):
    """Two linear layers with a leaky ReLU between them, from class text and noise to a feature.

    The noise is as wide as the feature, in ZS3 as wide as the text. It comes in as unit Gaussian; where it is to be
    uniform, its distribution function makes it so. Dropout is a second source of noise: the generator stays in training
    mode when it is sampled, as in PADing's code.
    """

    def __init__(self, config: GmmnConfig, text_width: int, width: int, randomness: torch.Generator) -> None:
        super().__init__()
        self.noise_width = width + (config.hidden if config.dropout else 0)
        self.config, self.width, self.text_width = config, width, text_width
        self.dropout, self.noise = config.dropout, config.noise
        self.hidden = nn.Linear(text_width + width, config.hidden)
        self.output = nn.Linear(config.hidden, width)
        initialise_linear(self, randomness, config.bias)

    def forward(self, text: Float[Tensor, "K E"], noise: Float[Tensor, "K N D"]) -> Float[Tensor, "K N D"]:
        """Return one synthetic feature for each noise vector."""
        varied = noise[..., : self.width]
        if self.noise == "uniform":
            varied = torch.special.ndtr(varied)
        of_text, of_noise = torch.split(self.hidden.weight, [self.text_width, self.width], dim=1)
        by_class = F.linear(text, of_text, self.hidden.bias)  # once a class, not once a sample
        hidden = F.leaky_relu(by_class.unsqueeze(1) + F.linear(varied, of_noise), 0.2)
        hidden = drop(hidden, noise[..., self.width :], self.dropout)
        synthetic: Tensor = self.output(hidden)
        return synthetic
