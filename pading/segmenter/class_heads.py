"""Query embeddings to class logits by text: the cosine between a projected query and every class's text embedding.

The other head is a plain linear layer. Axes: K classes, D query-embedding width, E text width.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class TextHead(nn.Module):
    """Logits cos(W q, T_k) / temperature, and <W q / |W q|, T_0> / temperature for no-object (ZegFormer, eq. 1).

    T_k are given and fixed; T_0 is learned and, as published, not normalised. Classes can be exchanged after training
    for any others that have a text.
    """

    text: Tensor
    log_scale: Tensor

    def __init__(
        self, width: int, num_classes: int, text_width: int, *, temperature: float, learn_temperature: bool
    ) -> None:
        super().__init__()
        self.project = nn.Linear(width, text_width)
        self.no_object = nn.Parameter(torch.empty(text_width))
        nn.init.uniform_(self.no_object, -1 / math.sqrt(text_width), 1 / math.sqrt(text_width))
        log_scale = torch.tensor(-math.log(temperature))
        if learn_temperature:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)
        self.register_buffer("text", torch.zeros(num_classes, text_width))
        self._has_text = False

    def set_text(self, embeddings: Float[Tensor, "K E"]) -> None:
        """Take the classes' text embeddings, one row a class; they are normalised here.

        Raises:
            ValueError: if there is not one finite row other than zero for every class.
        """
        if embeddings.shape != self.text.shape:
            raise ValueError(f"text embeddings must be {tuple(self.text.shape)}, got {tuple(embeddings.shape)}")
        length = embeddings.float().norm(dim=1)
        if bad := (~(length.isfinite() & (length > 0))).nonzero().flatten().tolist():
            raise ValueError(f"text embeddings of classes {bad} are zero or not finite")
        self.text.copy_(F.normalize(embeddings.float(), dim=1))

    def forward(self, queries: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch K+1"]:
        """Return class logits, no-object last.

        Raises:
            ValueError: if no text embeddings were given.
        """
        if not self._has_text:  # looked at once, for it waits for the device
            if not bool(self.text.any()):
                raise ValueError("the text head has no text embeddings; give it those of the classes by set_text")
            self._has_text = True
        directions = F.normalize(self.project(queries), dim=-1)
        logits: Tensor = directions @ torch.cat([self.text, self.no_object[None]]).T * self.log_scale.exp()
        return logits
