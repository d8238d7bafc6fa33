"""Query embeddings to class logits by text: the cosine between a projected query and a class's text embedding.

The other head is a plain linear layer. Axes: K classes, S of them with a text, D query-embedding width, E text width.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class TextHead(nn.Module):
    """Logits cos(W q, T_k) / temperature, and <W q / |W q|, T_0> / temperature for no-object (ZegFormer, eq. 1).

    T_k are given and fixed; T_0 is learned and, as published, not normalised. A class without text is silent: its logit
    is minus infinity, so it neither wins nor pushes others away. In training these are the unseen classes, whose texts
    the head does not hold. Afterwards classes can be exchanged for any that have a text.
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
        log_scale = torch.tensor([-math.log(temperature)])  # of one dimension: DeepSpeed takes no parameter of none
        if learn_temperature:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)
        self.register_buffer("text", torch.zeros(num_classes, text_width))
        self._has_text = False

    def set_text(self, embeddings: Float[Tensor, "S E"], classes: Sequence[int]) -> None:
        """Take the text embeddings of some classes, one row each; they are normalised here. All others fall silent.

        Raises:
            ValueError: if there is not one finite row other than zero for each of them.
        """
        expected = len(classes), self.text.shape[1]
        if embeddings.shape != expected:
            raise ValueError(f"text embeddings must be {expected}, got {tuple(embeddings.shape)}")
        length = embeddings.float().norm(dim=1)
        if bad := (~(length.isfinite() & (length > 0))).nonzero().flatten().tolist():
            raise ValueError(f"text embeddings of classes {[classes[row] for row in bad]} are zero or not finite")
        self.text.zero_()
        self.text[list(classes)] = F.normalize(embeddings.to(self.text), dim=1)

    def forward(self, queries: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch K+1"]:
        """Return class logits, no-object last; those of classes without text are minus infinity.

        Raises:
            ValueError: if no text embeddings were given.
        """
        if not self._has_text:  # looked at once, for it waits for the device
            if not bool(self.text.any()):
                raise ValueError("the text head has no text embeddings; give it those of the classes by set_text")
            self._has_text = True
        directions = F.normalize(self.project(queries), dim=-1)
        logits: Tensor = directions @ torch.cat([self.text, self.no_object[None]]).T * self.log_scale.exp()
        is_silent = F.pad(~self.text.any(dim=1), (0, 1), value=False)
        return logits.masked_fill(is_silent, -math.inf)
