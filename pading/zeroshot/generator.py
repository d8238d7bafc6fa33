"""The primitive generator: class text attends to learned primitives, and noise makes samples (PADing, eq. 1-2).

Axes: K classes, N samples of each, P primitives, D feature width, E text width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pading.zeroshot.dropout import drop
from pading.zeroshot.initialise import initialise_linear


@dataclass(frozen=True, kw_only=True)
class PrimitiveConfig:
    """Shape of the primitive generator."""

    num_primitives: int = 400  # PADing, Sec. 4.1
    heads: int = 8  # PADing's code
    attention_temperature: float = 100.0  # 1 is the usual attention; see PrimitiveGenerator
    hidden: int = 256  # width of a hidden layer before the output; 0: none, the linear layer of eq. (2) alone
    dropout: float = 0.4  # none in eq. (2); PADing's code has 0.1, for the semantic task 0.3

    def __post_init__(self) -> None:
        if self.num_primitives < 1 or self.heads < 1 or self.attention_temperature <= 0:
            raise ValueError(
                f"{self.num_primitives} primitives, {self.heads} heads, attention temperature "
                f"{self.attention_temperature}: all must be positive"
            )
        if self.hidden < 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                f"hidden width {self.hidden} and dropout {self.dropout}: not negative, and a probability below 1"
            )


class PrimitiveGenerator(nn.Module):
    """Eq. (1)-(2): X' = w_1(A + attention(w_Q A, w_K P, w_V P) + Z), A the projected class text, Z unit Gaussian noise.

    One multi-head block whose heads are concatenated; the primitives P are learned and do not attend to one another.
    Text and primitives alone decide the attention, so it is computed once a class, not once a sample.

    With a hidden layer, w_1 is two linear layers with a leaky ReLU between them: one linear layer gives every class the
    same spread. Dropout before the last layer widens the samples, as the released generator's does; real features of
    new images spread more than those of the images that the segmenter was trained on. Its mask is read from a second
    part of Z. What both are worth is in docs/decisions/0008.

    Attention logits are divided by a temperature besides the usual square root of the width. Sharp attention lets each
    seen class have primitives of its own, which is memory: unseen classes then get mixtures that mean nothing
    (docs/decisions/0003). Soft attention has to share them.
    """

    def __init__(self, config: PrimitiveConfig, text_width: int, width: int, randomness: torch.Generator) -> None:
        super().__init__()
        if width % config.heads:
            raise ValueError(f"feature width {width} is not a multiple of {config.heads} heads: choose other heads")
        before_output = config.hidden or width
        self.noise_width = width + (before_output if config.dropout else 0)
        self.config, self.width, self.dropout = config, width, config.dropout
        self.heads = config.heads
        self.attention_scale = (width // config.heads) ** -0.5 / config.attention_temperature
        self.text = nn.Linear(text_width, width)
        self.primitives = nn.Parameter(torch.randn(config.num_primitives, width, generator=randomness))
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.hidden = nn.Linear(width, config.hidden) if config.hidden else None
        self.output = nn.Linear(before_output, width)
        initialise_linear(self, randomness)

    def forward(self, text: Float[Tensor, "K E"], noise: Float[Tensor, "K N D"]) -> Float[Tensor, "K N D"]:
        """Return one synthetic feature for each noise vector."""
        text = self.text(text)
        query, key = self._query_and_key(text)
        attended = F.scaled_dot_product_attention(
            query, key, self._split(self.value(self.primitives)), scale=self.attention_scale
        )
        assembled = text + attended.transpose(1, 2).flatten(2).squeeze(0)  # (K, D)
        rows = assembled.unsqueeze(1) + noise[..., : self.width]
        if self.hidden is not None:
            rows = F.leaky_relu(self.hidden(rows), 0.2)
        synthetic: Tensor = self.output(drop(rows, noise[..., self.width :], self.dropout))
        return synthetic

    def responses(self, text: Float[Tensor, "K E"]) -> Float[Tensor, "K heads P"]:
        """Return how strongly each primitive fires for each class: the attention weights, which sum to 1 over P."""
        query, key = self._query_and_key(self.text(text))
        weights: Tensor = torch.softmax(query @ key.mT * self.attention_scale, dim=-1)  # (1, heads, K, P)
        return weights.squeeze(0).transpose(0, 1)

    def _query_and_key(self, text: Float[Tensor, "K D"]) -> tuple[Tensor, Tensor]:
        return self._split(self.query(text)), self._split(self.key(self.primitives))

    def _split(self, rows: Float[Tensor, "R D"]) -> Float[Tensor, "1 heads R d"]:
        """Return rows by head, with the leading axis that fused attention asks for."""
        return rows.view(1, len(rows), self.heads, self.width // self.heads).transpose(1, 2)
