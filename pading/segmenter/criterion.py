"""What the segmenter is trained on: class, mask and dice losses over matched pairs of every layer.

Axes: L predictions (layers), B images, Q queries, K classes, M segments of an image, P mask cells (h * w),
N matched pairs of all layers and images.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pading.segmenter.matcher import LossWeights, match
from pading.segmenter.segmenter import Prediction
from pading.segmenter.targets import Targets


@dataclass(frozen=True, kw_only=True)
class CriterionConfig:
    """Weights of the loss; matching uses the same three (Mask2Former, as trained by PADing).

    `cells` is ours: without it a network from scratch learns masks long before it learns classes. 0 takes it away.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    no_object: float = 0.1
    cells: float = 4.0


def mask_cross_entropy(
    logits: Float[Tensor, "N P"], masks: Float[Tensor, "N P"], valid: Float[Tensor, "N P"]
) -> Float[Tensor, "N"]:
    """Return sum_p (v softplus(x) - t x) / sum_p v.

    This is the binary cross-entropy of every labelled pixel against its cell's logit, averaged over labelled pixels.
    """
    return (valid * F.softplus(logits) - masks * logits).sum(dim=1) / valid.sum(dim=1).clamp(min=1)


def dice_loss(
    logits: Float[Tensor, "N P"], masks: Float[Tensor, "N P"], valid: Float[Tensor, "N P"]
) -> Float[Tensor, "N"]:
    """Return 1 - (2 sum_p s t + 1) / (sum_p s v + sum_p t + 1), s = sigmoid(x)."""
    chance = logits.sigmoid()
    overlap, sizes = (chance * masks).sum(dim=1), (chance * valid + masks).sum(dim=1)
    return 1 - (2 * overlap + 1) / (sizes + 1)


def cell_loss(cell_logits: Float[Tensor, "B K h2 w2"], targets: Targets) -> Float[Tensor, ""]:
    """Return the cross-entropy of every segment's class, summed over segments, read from the mean of its cells.

    z_m = sum_p t_mp z_p / sum_p t_mp, with t the segment's share of a cell: the features of the right cells must tell
    the class by themselves, so they learn it before the queries know where to look.
    """
    height, width = cell_logits.shape[-2:]
    shares = F.adaptive_avg_pool2d(targets.masks, (height, width)).flatten(2)  # (B, M, h2 w2)
    mean = shares @ cell_logits.float().flatten(2).transpose(1, 2) / shares.sum(dim=2, keepdim=True).clamp(min=1e-6)
    exists = targets.is_segment
    return F.cross_entropy(mean[exists], targets.classes[exists], reduction="sum")


def criterion(
    predictions: list[Prediction], targets: Targets, num_masks: Tensor | float, config: CriterionConfig | None = None
) -> dict[str, Float[Tensor, ""]]:
    """Return the weighted losses "class", "mask", "dice" and "cells"; their sum is what to minimise.

    `num_masks` is the number of segments in the whole step divided by the number of workers, so that the mean over
    workers with batches of one size equals the loss of the whole. All are summed over layers, except "cells", which is
    there where the last prediction has cell logits. Mask losses are sums over matched pairs / num_masks.
    The class loss is the weighted mean of the cross-entropy of all queries, unmatched ones labelled no-object; its
    normaliser is num_masks + no_object (B Q - num_masks).

    Raises:
        ValueError: if a prediction is not finite; names the images.
    """
    config = config or CriterionConfig()
    class_logits = torch.stack([prediction.class_logits for prediction in predictions]).float()
    mask_logits = torch.stack([prediction.mask_logits for prediction in predictions]).float()
    num_layers, batch, num_queries, num_outputs = class_logits.shape
    num_masks = torch.as_tensor(num_masks, dtype=torch.float32, device=class_logits.device).clamp(min=1)

    query = match(class_logits, mask_logits, targets, config.weights)
    layer, image, segment = (query >= 0).nonzero(as_tuple=True)  # (N,) each
    row = query[layer, image, segment]

    labels = torch.full((num_layers, batch, num_queries), num_outputs - 1, device=query.device)
    labels[layer, image, row] = targets.classes[image, segment]
    class_weights = class_logits.new_ones(num_outputs)
    class_weights[-1] = config.no_object
    entropy = F.cross_entropy(class_logits.flatten(0, 2), labels.flatten(), class_weights, reduction="sum")
    normaliser = num_masks + config.no_object * (batch * num_queries - num_masks).clamp(min=0)

    logits = mask_logits[layer, image, row].flatten(1)  # (N, P)
    masks, valid = targets.masks[image, segment].flatten(1), targets.valid[image].flatten(1)
    weights = config.weights
    losses = {
        "class": weights.classification * entropy / normaliser,
        "mask": weights.cross_entropy * mask_cross_entropy(logits, masks, valid).sum() / num_masks,
        "dice": weights.dice * dice_loss(logits, masks, valid).sum() / num_masks,
    }
    if (cell_logits := predictions[-1].cell_logits) is not None:
        losses["cells"] = config.cells * cell_loss(cell_logits, targets) / num_masks
    return losses
