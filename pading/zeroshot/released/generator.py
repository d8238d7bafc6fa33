"""The generator of PADing's code: a stack of decoder layers in which class text attends to learned primitives.

The paper has one attention block and noise once (`pading/zeroshot/generator.py`). Axes: R samples, K classes, N samples
of each, P primitives, D feature width, E text width.
"""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.zeroshot.dropout import drop
from pading.zeroshot.initialise import initialise_as_torch


@dataclass(frozen=True, kw_only=True)
class ReleasedGeneratorConfig:
    """Shape of the generator; the numbers are the code's for the panoptic task."""

    num_layers: int = 3
    heads: int = 8
    hidden: int = 1024  # of the two linear layers that end a decoder layer
    dropout: float = 0.1
    num_primitives: int = 400

    def __post_init__(self) -> None:
        counts = (self.num_layers, self.heads, self.hidden, self.num_primitives)
        if min(counts) < 1:
            raise ValueError(f"num_layers, heads, hidden and num_primitives are {counts}: all must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}: it is a probability below 1")


class ReleasedGenerator(nn.Module):
    """h = W_a a, then every layer, then a layer normalisation: a sample is the same kind of vector as a real feature.

    The table of primitives is key and value of every layer, without positions. Each layer adds unit Gaussian noise of
    its own. Dropout never stops, neither while the classifier is fitted nor when samples are drawn: it is part of the
    distribution that the classifier learns, so its masks are read from the noise too.
    """

    def __init__(
        self, config: ReleasedGeneratorConfig, text_width: int, width: int, randomness: torch.Generator
    ) -> None:
        super().__init__()
        if width % config.heads:
            raise ValueError(f"feature width {width} is not a multiple of {config.heads} heads: choose other heads")
        self.config, self.width = config, width
        self.text = nn.Linear(text_width, width)
        initialise_as_torch(self.text, randomness)
        self.primitives = nn.Parameter(torch.randn(config.num_primitives, width, generator=randomness))
        first = DecoderLayer(config, width, randomness)
        self.layers = nn.ModuleList([first, *(copy.deepcopy(first) for _ in range(config.num_layers - 1))])  # all alike
        self.norm = nn.LayerNorm(width)
        self.noise_width = config.num_layers * first.noise_width

    def project(self, text: Float[Tensor, "K E"]) -> Float[Tensor, "K D"]:
        """Return W_a a: what attends, and what the released alignment calls the semantic embedding of a class."""
        projected: Tensor = self.text(text)
        return projected

    def forward(self, text: Float[Tensor, "K E"], noise: Float[Tensor, "K N W"]) -> Float[Tensor, "K N D"]:
        """Return one synthetic feature for each noise vector."""
        num_classes, num_samples, _ = noise.shape
        rows = self.project(text).repeat_interleave(num_samples, dim=0)  # (R, D)
        parts = noise.flatten(0, 1).chunk(len(self.layers), dim=1)
        for layer, part in zip(self.layers, parts, strict=True):
            rows = layer(rows, self.primitives, part)
        synthetic: Tensor = self.norm(rows)
        return synthetic.view(num_classes, num_samples, synthetic.shape[1])


class DecoderLayer(nn.Module):
    """One post-norm decoder layer on rows that do not see one another.

    h <- LN(h + Drop(W_o W_v h)): self-attention of a sequence of one, where the softmax is always 1; its query and key
    layers would change nothing and are left out. h <- LN(h + Drop(attention(h, P, P)) + z): the noise comes after the
    residual. h <- LN(h + Drop(W_2 Drop(ReLU(W_1 h)))). Dropout also falls on the attention weights, which for the first
    step means that whole heads are lost.
    """

    def __init__(self, config: ReleasedGeneratorConfig, width: int, randomness: torch.Generator) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.self_value, self.self_output = nn.Linear(width, width), nn.Linear(width, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        initialise_as_torch(self, randomness)
        for attention in (self.self_value, self.query, self.key, self.value):  # one stacked matrix in torch's attention
            nn.init.uniform_(attention.weight, -((1.5 / width) ** 0.5), (1.5 / width) ** 0.5, generator=randomness)
        for layer in (self.self_value, self.self_output, self.query, self.key, self.value, self.output):
            nn.init.zeros_(layer.bias)
        masks = (config.heads, width, config.heads * config.num_primitives, width, config.hidden, width)
        self.noise_widths = [width, *masks] if config.dropout else [width, 0, 0, 0, 0, 0, 0]
        self.noise_width = sum(self.noise_widths)

    def forward(
        self, rows: Float[Tensor, "R D"], primitives: Float[Tensor, "P D"], noise: Float[Tensor, "R W"]
    ) -> Float[Tensor, "R D"]:
        """Return the rows after the layer."""
        added, own_head, own, weight, cross, hidden, last = torch.split(noise, self.noise_widths, dim=1)
        kept = drop(self._split(self.self_value(rows)), own_head.unsqueeze(2), self.dropout)  # (R, heads, d)
        rows = self.norms[0](rows + drop(self.self_output(kept.flatten(1)), own, self.dropout))
        attended = self.output(self._attend(rows, primitives, weight))
        rows = self.norms[1](rows + drop(attended, cross, self.dropout) + added)
        inner = drop(F.relu(self.expand(rows)), hidden, self.dropout)
        result: Tensor = self.norms[2](rows + drop(self.contract(inner), last, self.dropout))
        return result

    def _attend(
        self, rows: Float[Tensor, "R D"], primitives: Float[Tensor, "P D"], noise: Float[Tensor, "R _"]
    ) -> Float[Tensor, "R D"]:
        query, key, value = (
            self._split(layer(inputs)).transpose(0, 1)  # (heads, rows, d)
            for layer, inputs in ((self.query, rows), (self.key, primitives), (self.value, primitives))
        )
        weights = torch.softmax(query @ key.mT * query.shape[2] ** -0.5, dim=2)  # (heads, R, P)
        if self.dropout:
            weights = drop(weights, self._split(noise).transpose(0, 1), self.dropout)
        attended: Tensor = weights @ value
        return attended.transpose(0, 1).flatten(1)

    def _split(self, rows: Float[Tensor, "R D"]) -> Float[Tensor, "R heads d"]:
        return rows.reshape(len(rows), self.heads, rows.shape[1] // self.heads)
