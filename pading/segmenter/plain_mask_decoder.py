"""Queries x features -> query embeddings, mask embeddings: MaskFormer's decoder, in which queries look everywhere.

Axes: L predictions (decoder layers), B images, Q queries, N cells of the coarsest level, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pading.segmenter.attention import Attention
from pading.segmenter.backbone import Level
from pading.segmenter.mask_decoder import Queries, make_mask_embedding
from pading.segmenter.position import published_positions


class PlainLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward; each with dropout, a residual and a LayerNorm after it (DETR)."""

    def __init__(self, width: int, heads: int, feedforward_width: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout)
        self.self_norm = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads, dropout)
        self.cross_norm = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward_width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feedforward_width, width)
        )
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        query_position: Float[Tensor, "Q D"],
        keys: Float[Tensor, "B N D"],
        values: Float[Tensor, "B N D"],
    ) -> Float[Tensor, "B Q D"]:
        """Return the next state of the queries."""
        placed = x + query_position
        x = self.self_norm(x + self.dropout(self.self_attention(placed, placed, x)))
        x = self.cross_norm(x + self.dropout(self.cross_attention(x + query_position, keys, values)))
        x = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return x


class PlainMaskDecoder(nn.Module):
    """Queries without content, told apart by learned positions, read the coarsest level in every layer.

    Every layer makes a prediction. There is none before the first: a query has seen nothing yet.
    """

    def __init__(
        self, *, width: int, queries: int, layers: int, heads: int, feedforward_width: int, dropout: float
    ) -> None:
        super().__init__()
        self.query_position = nn.Embedding(queries, width)
        self.layers = nn.ModuleList(PlainLayer(width, heads, feedforward_width, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.mask_embedding = make_mask_embedding(width)

    def forward(self, mask_features: Float[Tensor, "B D h w"], levels: list[Level]) -> Queries:
        """Return the normalised query states and their mask embeddings, one set a layer."""
        coarsest = levels[0].features
        values = coarsest.flatten(2).transpose(1, 2)  # (B, N, D)
        height, width = coarsest.shape[-2:]
        keys = values + published_positions(height, width, values.shape[2], values.device)
        position = self.query_position.weight
        x = torch.zeros_like(position).expand(len(mask_features), -1, -1)
        states = []
        for layer in self.layers:
            x = layer(x, position, keys, values)
            states.append(self.norm(x))
        embeddings = torch.stack(states)
        return Queries(embeddings, self.mask_embedding(embeddings))
