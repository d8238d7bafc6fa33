"""Class text as a generator reads it: without what all names share, and on a scale that a linear layer can use.

CLIP vectors of any two names are much alike (cosines of 0.7 to 0.99): the class is in small differences, which a
freshly made layer would drown in its bias. Axes: K classes, N samples of each, D feature width, E text width.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

TYPICAL_LENGTH = 3.0  # root mean square of the standardised rows


class FeatureGenerator(Protocol):
    """What turns class text and noise into synthetic features."""

    noise_width: int

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is trained."""

    def __call__(self, text: Float[Tensor, "K E"], noise: Float[Tensor, "K N D"]) -> Float[Tensor, "K N D"]:
        """Return one synthetic feature for each noise vector."""


@runtime_checkable
class HasPrimitives(Protocol):
    """A generator whose samples are put together from primitives; the heads of all its layers count as heads."""

    def responses(self, text: Float[Tensor, "K E"]) -> Float[Tensor, "K heads P"]:
        """Return how strongly each primitive fires for each class; sums to 1 over primitives."""


class Standardised(nn.Module):
    """A generator behind a fixed affine map that gives the class texts it was made with mean 0 and a typical length.

    With `standardise_text` off the map changes nothing: the generator reads texts raw, as in the paper and its code.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, generator: nn.Module, text: Float[Tensor, "K E"], *, standardise_text: bool = True) -> None:
        super().__init__()
        self.generator = generator
        self.noise_width: int = generator.noise_width  # type: ignore[assignment]
        offset, scale = standardising(text)
        self.register_buffer("offset", offset if standardise_text else torch.zeros_like(offset))
        self.register_buffer("scale", scale if standardise_text else torch.ones_like(scale))

    def forward(self, text: Float[Tensor, "K E"], noise: Float[Tensor, "K N D"]) -> Float[Tensor, "K N D"]:
        """Return one synthetic feature for each noise vector; `text` is raw, as the class table's."""
        synthetic: Tensor = self.generator(self.read(text), noise)
        return synthetic

    def read(self, text: Float[Tensor, "K E"]) -> Float[Tensor, "K E"]:
        """Return raw class texts as the generator reads them."""
        return (text - self.offset) * self.scale

    @torch.no_grad()
    def responses(self, text: Float[Tensor, "K E"]) -> Float[Tensor, "K heads P"] | None:
        """Return the generator's responses to raw text, or None if it has no primitives."""
        generator = self.generator
        return generator.responses(self.read(text)) if isinstance(generator, HasPrimitives) else None


def standardising(text: Float[Tensor, "K E"]) -> tuple[Float[Tensor, "E"], Float[Tensor, ""]]:
    """Return what to subtract from class texts, and the factor then, that give them mean 0 and a typical length.

    Raises:
        ValueError: if there are fewer than two.
    """
    if len(text) < 2:
        raise ValueError(f"{len(text)} class texts: pass at least two, what they share is taken away")
    offset = text.mean(dim=0)
    length = (text - offset).square().sum(dim=1).mean().sqrt()
    return offset, TYPICAL_LENGTH / length.clamp_min(torch.finfo(text.dtype).tiny)
