"""First weights drawn from a generator that the caller passes, so that a fit depends on its seed alone."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def xavier_uniform(outputs: int, inputs: int, randomness: torch.Generator) -> Float[Tensor, "outputs inputs"]:
    """Return a weight matrix drawn uniformly with variance 2 / (outputs + inputs)."""
    return nn.init.xavier_uniform_(torch.empty(outputs, inputs), generator=randomness)


def initialise_linear(module: nn.Module, randomness: torch.Generator, bias: float = 0.0) -> None:
    """Draw every linear layer inside `module` Xavier-uniform, with a constant bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=randomness)
            nn.init.constant_(layer.bias, bias)


def initialise_as_torch(module: nn.Module, randomness: torch.Generator) -> None:
    """Draw every linear layer inside `module` as torch does by itself: uniform within 1 / sqrt(inputs), biases too."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=randomness)
            nn.init.uniform_(layer.bias, -bound, bound, generator=randomness)
