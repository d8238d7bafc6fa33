"""Multi-head attention on top of torch's fused kernel. Axes: B images, Q queries, N keys, D width."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Attention(nn.Module):
    """softmax(q k^T / sqrt(D / heads)) v with learned projections of query, key, value and output.

    In training, each weight of the softmax is dropped with the chance `dropout`.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} does not split into {heads} heads; choose a divisor")
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        query: Float[Tensor, "B Q D"],
        key: Float[Tensor, "B N D"],
        value: Float[Tensor, "B N D"],
        allowed: Bool[Tensor, "B Q N"] | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """Return what each query reads from the keys that it is allowed to see."""
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x in (self.query(query), self.key(key), self.value(value))
        )
        mask = None if allowed is None else allowed[:, None]
        dropped = self.dropout if self.training else 0.0
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropped)  # (B, heads, Q, D / heads)
        merged: Tensor = self.out(read.transpose(1, 2).flatten(2))
        return merged
