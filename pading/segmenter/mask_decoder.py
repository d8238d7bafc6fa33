"""Queries x features -> query embeddings, mask embeddings: a transformer that attends inside the predicted mask.

Axes: L predictions (decoder layers + 1), B images, Q queries, N cells of a level, D width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pading.segmenter.attention import Attention
from pading.segmenter.backbone import Level
from pading.segmenter.position import published_positions, sine_positions

QUERY_CONTENT_STD = 0.02


class Queries(NamedTuple):
    """The state of every query after the learned start and after every layer."""

    embeddings: Float[Tensor, "L B Q D"]
    mask_embeddings: Float[Tensor, "L B Q D"]


def allowed_cells(mask_logits: Float[Tensor, "B Q N"]) -> Bool[Tensor, "B Q N"]:
    """Return where each query may look: mask probability at least 1/2, or everywhere if that leaves nothing."""
    allowed = mask_logits >= 0
    return allowed | ~allowed.any(dim=-1, keepdim=True)


def make_mask_embedding(width: int) -> nn.Sequential:
    """Return the three layers that turn a query's state into its mask embedding."""
    return nn.Sequential(
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
    )


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward; each with a residual and a LayerNorm after it."""

    def __init__(self, width: int, heads: int, feedforward_width: int) -> None:
        super().__init__()
        self.cross_attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.self_norm = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward_width), nn.ReLU(), nn.Linear(feedforward_width, width)
        )
        self.feedforward_norm = nn.LayerNorm(width)

    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        query_position: Float[Tensor, "Q D"],
        keys: Float[Tensor, "B N D"],
        values: Float[Tensor, "B N D"],
        allowed: Bool[Tensor, "B Q N"],
    ) -> Float[Tensor, "B Q D"]:
        """Return the next state of the queries."""
        x = self.cross_norm(x + self.cross_attention(x + query_position, keys, values, allowed))
        placed = x + query_position
        x = self.self_norm(x + self.self_attention(placed, placed, x))
        x = self.feedforward_norm(x + self.feedforward(x))
        return x


class MaskDecoder(nn.Module):
    """Learned queries refined by layers that visit the feature levels in turn, coarse to fine, and end at the finest.

    Two forms with the same layers. Ours normalises every level, and the content of its queries starts small beside
    what attention adds to it, so that queries speak of the image early. `as_published` is Mask2Former to the letter,
    for its weights: levels as they are, its positions, and attention masks read at cell centres instead of averaged.
    """

    def __init__(
        self,
        *,
        width: int,
        queries: int,
        layers: int,
        heads: int,
        feedforward_width: int,
        levels: int,
        as_published: bool,
    ) -> None:
        super().__init__()
        self.as_published = as_published
        self.query_content = nn.Embedding(queries, width)
        nn.init.normal_(self.query_content.weight)
        self.shrink_content()
        self.query_position = nn.Embedding(queries, width)
        self.level = nn.Embedding(levels, width)
        self.level_norms = nn.ModuleList(nn.Identity() if as_published else nn.LayerNorm(width) for _ in range(levels))
        self.layers = nn.ModuleList(DecoderLayer(width, heads, feedforward_width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.mask_embedding = make_mask_embedding(width)

    def shrink_content(self) -> None:
        """Let standard normal query content start as small as this form wants it."""
        if not self.as_published:
            self.query_content.weight.data.mul_(QUERY_CONTENT_STD)

    def forward(self, mask_features: Float[Tensor, "B D h w"], levels: list[Level]) -> Queries:
        """Return the normalised query states and their mask embeddings, one set a prediction.

        A mask logit is a dot product, so whatever is linear in a map commutes with it: the attention mask of a level is
        the product of the mask embeddings with mask features brought to that level, and no full-size mask is made for
        it. Brought there by averaging over cells, or, as published, by bilinear interpolation at their centres.
        """
        positions = published_positions if self.as_published else sine_positions
        keys, values, cells = [], [], []
        for index, level in enumerate(levels):
            height, width = level.features.shape[-2:]
            features = self.level_norms[index](level.features.flatten(2).transpose(1, 2))  # (B, N, D)
            values.append(features + self.level.weight[index])
            keys.append(values[-1] + positions(height, width, self.level.embedding_dim, values[-1].device))
            cells.append(self.resize(mask_features.detach(), height, width).flatten(2))  # (B, D, N)

        x = self.query_content.weight.expand(len(mask_features), -1, -1)
        embeddings = [self.norm(x)]
        mask_embeddings = [self.mask_embedding(embeddings[-1])]
        for index, layer in enumerate(self.layers):
            turn = (index - len(self.layers)) % len(levels)
            allowed = allowed_cells(mask_embeddings[-1].detach() @ cells[turn])
            x = layer(x, self.query_position.weight, keys[turn], values[turn], allowed)
            embeddings.append(self.norm(x))
            mask_embeddings.append(self.mask_embedding(embeddings[-1]))
        return Queries(torch.stack(embeddings), torch.stack(mask_embeddings))

    def resize(self, features: Float[Tensor, "B D h w"], height: int, width: int) -> Float[Tensor, "B D h2 w2"]:
        """Return mask features at the resolution of a level."""
        if self.as_published:
            return F.interpolate(features, size=(height, width), mode="bilinear", align_corners=False)
        return F.adaptive_avg_pool2d(features, (height, width))
