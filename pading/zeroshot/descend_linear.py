"""Gradient descent of a linear softmax head, its gradient in closed form: (p - y) x, weighted.

Axes: R rows, S steps, B rows of a step, K classes, D feature width.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from pading.zeroshot.classifier import LinearClassifier


@torch.no_grad()
def descend_linear(
    classifier: LinearClassifier,
    embeddings: Float[Tensor, "R D"],
    labels: Int64[Tensor, "R"],
    class_weights: Float[Tensor, "K+1"],
    rows: Int64[Tensor, "S B"],
    learning_rate: float,
    weight_decay: float,
    report_every: int,
) -> Iterator[dict[str, float]]:
    """Minimise the weighted cross-entropy over pre-drawn batches in place, with a cosine decay of the learning rate.

    The loss of a step is sum_n w_n (-log p_n(y_n)) / sum_n w_n, w_n the weight of row n's class; its gradient for the
    logits of row n is w_n (p_n - one_hot(y_n)) / sum_n w_n. Weight and bias are one matrix, for rows that end in a one.
    """
    extended = F.pad(embeddings, (0, 1), value=1.0)
    matrix = torch.nn.Parameter(torch.cat([classifier.weight, classifier.bias.unsqueeze(1)], dim=1))
    optimizer = torch.optim.AdamW([matrix], lr=learning_rate, weight_decay=weight_decay, fused=True)
    for step, batch in enumerate(rows):
        optimizer.param_groups[0]["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * step / len(rows)))
        inputs, targets = extended[batch], labels[batch].unsqueeze(1)
        shares = class_weights[targets]  # (B, 1)
        shares /= shares.sum()
        log_probabilities = torch.log_softmax(inputs @ matrix.T, dim=1)
        is_reported = (step + 1) % report_every == 0 or step + 1 == len(rows)
        loss = float(-(shares * log_probabilities.gather(1, targets)).sum()) if is_reported else math.nan
        slope = log_probabilities.exp_().mul_(shares).scatter_add_(1, targets, -shares)
        matrix.grad = slope.T @ inputs
        optimizer.step()
        if is_reported:
            classifier.weight.copy_(matrix[:, :-1])
            classifier.bias.copy_(matrix[:, -1])
            yield {"step": step + 1.0, "loss": loss}
