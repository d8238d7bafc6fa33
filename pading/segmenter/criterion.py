"""What the segmenter is trained on: class, mask and dice losses over matched pairs of every layer.

Masks are compared cell by cell, or, for large images, at points most of which lie near predicted outlines.
Axes: L predictions (layers), B images, Q queries, K classes, M segments of an image (padded), P mask cells (h * w)
or points, N matched pairs of all layers and images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pading.segmenter.matcher import LossWeights, match, match_at_points
from pading.segmenter.penalties import mean_penalty
from pading.segmenter.points import importance_points, sample, sample_labelled, uniform_points
from pading.segmenter.precision import at_least_float32
from pading.segmenter.segmenter import Prediction
from pading.segmenter.targets import Targets


@dataclass(frozen=True, kw_only=True)
class CriterionConfig:
    """Weights of the loss, whose terms are those of matching too; the defaults are Mask2Former's as trained by PADing.

    `cells` is ours: without it a network from scratch learns masks long before it learns classes. 0 takes it away.
    Mask2Former compares masks at 12 544 points; 0 compares whole maps, as MaskFormer does, which is as fast up to about
    256 px.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    no_object: float = 0.1
    cells: float = 4.0
    num_points: int = 0
    oversample: float = 3.0  # candidates per point, of which the least certain are chosen
    importance: float = 0.75  # share of the points that is chosen so; the others are uniform

    def __post_init__(self) -> None:
        if self.num_points < 0 or self.oversample < 1 or not 0 <= self.importance <= 1:
            raise ValueError(
                f"num_points {self.num_points} must be at least 0, oversample {self.oversample} at least 1 "
                f"and importance {self.importance} in [0, 1]"
            )


class Pairs(NamedTuple):
    """Queries matched to segments, over all layers and images: where each is, and its mask logits."""

    layer: Int[Tensor, "N"]
    image: Int[Tensor, "N"]
    segment: Int[Tensor, "N"]
    query: Int[Tensor, "N"]
    logits: Float[Tensor, "N h w"]


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
    mean = (
        shares
        @ at_least_float32(cell_logits).flatten(2).transpose(1, 2)
        / shares.sum(dim=2, keepdim=True).clamp(min=1e-6)
    )
    exists = targets.is_segment
    return F.cross_entropy(mean[exists], targets.classes[exists], reduction="sum")


def criterion(
    predictions: list[Prediction],
    targets: Targets,
    num_masks: Tensor | float,
    config: CriterionConfig | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Return the weighted losses "class", "mask", "dice" and "cells"; their sum is what to minimise.

    Matches queries to segments and scores the matches in float32, whatever the precision of the predictions; points,
    where the configuration asks for them, are drawn from the generator.

    Raises:
        ValueError: if a prediction is not finite (names the images), or points are asked for without a generator.
    """
    config = config or CriterionConfig()
    matches = match_predictions(predictions, targets, config, generator)
    return losses_of_pairs(predictions, targets, *matches, num_masks, config)


class Matches(NamedTuple):
    """What the mask losses compare, and where: without points, whole maps."""

    pairs: Pairs
    points: Float[Tensor, "N P 2"] | None


def match_predictions(
    predictions: Sequence[Prediction],
    targets: Targets,
    config: CriterionConfig,
    generator: torch.Generator | None = None,
) -> Matches:
    """Match the queries of every layer and image to segments, in float32, and draw the points to compare them at.

    Raises:
        ValueError: as `criterion`.
    """
    device = predictions[-1].class_logits.device
    with torch.autocast(device.type, enabled=False):
        if not config.num_points:
            class_logits = at_least_float32(torch.stack([prediction.class_logits for prediction in predictions]))
            mask_logits = at_least_float32(torch.stack([prediction.mask_logits for prediction in predictions]))
            query = match(class_logits, mask_logits, targets, config.weights)
            return Matches(whole_pairs(mask_logits, query), None)
        if generator is None:
            raise ValueError(f"{config.num_points} points need a generator to draw them from; pass one")
        uniform = uniform_points(config.num_points, device, generator)
        pairs = matched_pairs(predictions, match_at_points(predictions, targets, config.weights, uniform))
        points = importance_points(
            pairs.logits.detach(),
            targets.valid[pairs.image],
            generator,
            num_points=config.num_points,
            oversample=config.oversample,
            importance=config.importance,
        )
        return Matches(pairs, points)


def losses_of_pairs(
    predictions: Sequence[Prediction],
    targets: Targets,
    pairs: Pairs,
    points: Float[Tensor, "N P 2"] | None,
    num_masks: Tensor | float,
    config: CriterionConfig,
) -> dict[str, Float[Tensor, ""]]:
    """Return the weighted losses of given matches, masks compared at given points or, without any, cell by cell.

    `num_masks` is the number of segments in the whole step divided by the number of workers, so that the mean over
    workers with batches of one size equals the loss of the whole. All are summed over layers, except "cells", which is
    there where the last prediction has cell logits. Mask losses are sums over matched pairs / num_masks.
    The class loss is the weighted mean of the cross-entropy of all queries, unmatched ones labelled no-object; its
    normaliser is num_masks + no_object (B Q - num_masks).
    """
    with torch.autocast(predictions[-1].class_logits.device.type, enabled=False):
        class_logits = at_least_float32(torch.stack([prediction.class_logits for prediction in predictions]))
        num_layers, batch, num_queries, num_outputs = class_logits.shape
        num_masks = torch.as_tensor(num_masks, dtype=torch.float32, device=class_logits.device).clamp(min=1)

        labels = torch.full((num_layers, batch, num_queries), num_outputs - 1, device=class_logits.device)
        labels[pairs.layer, pairs.image, pairs.query] = targets.classes[pairs.image, pairs.segment]
        class_weights = class_logits.new_ones(num_outputs)
        class_weights[-1] = config.no_object
        entropy = F.cross_entropy(class_logits.flatten(0, 2), labels.flatten(), class_weights, reduction="sum")
        normaliser = num_masks + config.no_object * (batch * num_queries - num_masks).clamp(min=0)

        masks, valid = targets.masks[pairs.image, pairs.segment], targets.valid[pairs.image]
        if points is None:
            compared = pairs.logits.flatten(1), masks.flatten(1), valid.flatten(1)  # (N, P) each
        else:
            compared = sample(pairs.logits, points), sample(masks, points), sample_labelled(valid, points)
        weights = config.weights
        mask = class_logits.new_zeros(())
        for weight, penalise in weights.penalties:
            mask = mask + weight * mean_penalty(penalise, *compared).sum() / num_masks
        losses = {
            "class": weights.classification * entropy / normaliser,
            "mask": mask,
            "dice": weights.dice * dice_loss(*compared).sum() / num_masks,
        }
        if (cell_logits := predictions[-1].cell_logits) is not None:
            losses["cells"] = config.cells * cell_loss(cell_logits, targets) / num_masks
        return losses


def whole_pairs(mask_logits: Float[Tensor, "L B Q h w"], query: Int[Tensor, "L B M"]) -> Pairs:
    """Return the pairs of an assignment (-1 = none), with their logits picked from the maps of all queries."""
    layer, image, segment = (query >= 0).nonzero(as_tuple=True)
    row = query[layer, image, segment]
    return Pairs(layer, image, segment, row, mask_logits[layer, image, row])


def matched_pairs(predictions: Sequence[Prediction], query: Int[Tensor, "L B M"]) -> Pairs:
    """Return the pairs of an assignment (-1 = none), with their logits made anew from embeddings where there are any.

    One query in ten is matched: its gradient alone is worth a product with all mask features.
    """
    mask_features = predictions[-1].mask_features
    embeddings = [prediction.mask_embeddings for prediction in predictions]
    if mask_features is None or any(part is None for part in embeddings):
        return whole_pairs(at_least_float32(torch.stack([prediction.mask_logits for prediction in predictions])), query)
    image, layer, segment = (query >= 0).transpose(0, 1).nonzero(as_tuple=True)  # image by image
    row = query[layer, image, segment]
    chosen = at_least_float32(
        torch.stack([part for part in embeddings if part is not None])[layer, image, row]
    )  # (N, D)
    counts = image.bincount(minlength=len(mask_features)).tolist()
    products = [
        part @ features
        for part, features in zip(torch.split(chosen, counts), at_least_float32(mask_features).flatten(2), strict=True)
    ]
    return Pairs(layer, image, segment, row, torch.cat(products).view(-1, *mask_features.shape[-2:]))
