"""A conditional Wasserstein critic with gradient penalty: the other usual way to teach a generator (WGAN-GP).

Axes: G classes of a step, N rows of each, D feature width, E text width, H hidden width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.zeroshot.initialise import initialise_linear

_LEAK = 0.2


@dataclass(frozen=True, kw_only=True)
class WganConfig:
    """The critic, and how both networks are trained; steps and batches are those of the other generators."""

    hidden: int = 256  # as the generator's
    penalty_weight: float = 10.0  # WGAN-GP
    critic_steps: int = 5  # WGAN-GP; for each step of the generator
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)

    def __post_init__(self) -> None:
        if min(self.hidden, self.critic_steps) < 1 or self.learning_rate <= 0 or self.penalty_weight < 0:
            raise ValueError(
                f"hidden width {self.hidden} and critic_steps {self.critic_steps} must be at least 1, learning_rate "
                f"{self.learning_rate} positive, penalty_weight {self.penalty_weight} not negative"
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}: both must lie in [0, 1)")


class Critic(nn.Module):
    """A value of a feature as one of a class: two linear layers on [text; feature] with a leaky ReLU between them."""

    def __init__(self, config: WganConfig, text_width: int, width: int, randomness: torch.Generator) -> None:
        super().__init__()
        self.text_width, self.width = text_width, width
        self.hidden = nn.Linear(text_width + width, config.hidden)
        self.output = nn.Linear(config.hidden, 1)
        initialise_linear(self, randomness)

    def forward(self, text: Float[Tensor, "G E"], features: Float[Tensor, "G N D"]) -> Float[Tensor, "G N"]:
        """Return the value of each feature for the class text of its group."""
        value: Tensor = self.output(F.leaky_relu(self._before_activation(text, features), _LEAK)).squeeze(2)
        return value

    def slope(self, text: Float[Tensor, "G E"], features: Float[Tensor, "G N D"]) -> Float[Tensor, "G N D"]:
        """Return the gradient of each value for its feature, in closed form, ready to be differentiated."""
        is_positive = self._before_activation(text, features) > 0
        activation_slope = is_positive + _LEAK * ~is_positive
        of_feature = self.hidden.weight[:, self.text_width :]
        return (activation_slope * self.output.weight) @ of_feature

    def _before_activation(
        self, text: Float[Tensor, "G E"], features: Float[Tensor, "G N D"]
    ) -> Float[Tensor, "G N H"]:
        of_text, of_feature = torch.split(self.hidden.weight, [self.text_width, self.width], dim=1)
        return F.linear(text, of_text, self.hidden.bias).unsqueeze(1) + F.linear(features, of_feature)


def wasserstein_distance(
    critic: Critic, text: Float[Tensor, "G E"], real: Float[Tensor, "G N D"], synthetic: Float[Tensor, "G M D"]
) -> Float[Tensor, ""]:
    """Return the critic's estimate of the distance: mean value of real rows less mean value of synthetic ones."""
    values: Tensor = critic(text, torch.cat([real, synthetic], dim=1))
    return values[:, : real.shape[1]].mean() - values[:, real.shape[1] :].mean()


def gradient_penalty(
    critic: Critic,
    text: Float[Tensor, "G E"],
    real: Float[Tensor, "G N D"],
    synthetic: Float[Tensor, "G N D"],
    mixing: Float[Tensor, "G N 1"],
) -> Float[Tensor, ""]:
    """Return the mean of (|gradient| - 1)^2 at points between real and synthetic rows of one class.

    `mixing` is the real share of each point, uniform on [0, 1).
    """
    between = synthetic + mixing * (real - synthetic)
    penalty: Tensor = (critic.slope(text, between).norm(dim=2) - 1).square().mean()
    return penalty
