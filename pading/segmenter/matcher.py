"""One-to-one assignment of queries to segments at the least cost.

Axes: L predictions (layers), B images, Q queries, K classes, M segments of an image (padded), P mask cells (h * w)
or points.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pading.segmenter.penalties import Penalise, cross_entropy, focal
from pading.segmenter.points import sample_labelled, sample_table, sample_together, table_of
from pading.segmenter.precision import at_least_float32
from pading.segmenter.segmenter import Prediction
from pading.segmenter.targets import Targets

POINTS_AT_ONCE = 3136  # of all queries and layers of an image: few enough to stay in a cache


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Weights of the terms, the same in the matching cost and in the loss; the defaults are Mask2Former's.

    MaskFormer has 1, 0, 1 and for the focal loss, in the place of cross-entropy, 20.
    """

    classification: float = 2.0
    cross_entropy: float = 5.0
    dice: float = 5.0
    focal: float = 0.0

    @property
    def penalties(self) -> list[tuple[float, Penalise]]:
        """Return what compares masks pixel by pixel, with its weight; what weighs nothing is left out."""
        both = [(self.cross_entropy, cross_entropy), (self.focal, focal)]
        return [(weight, penalise) for weight, penalise in both if weight]


def matching_cost(
    class_logits: Float[Tensor, "L B Q K+1"],
    mask_logits: Float[Tensor, "L B Q h w"],
    targets: Targets,
    weights: LossWeights,
) -> Float[Tensor, "L B Q M"]:
    """Return the cost of giving every segment to every query, from whole maps; columns of padding are meaningless."""
    logits = at_least_float32(mask_logits).flatten(3)  # (L, B, Q, P)
    masks, valid = targets.masks.flatten(2), targets.valid.flatten(1)
    columns = torch.cat([masks, valid[:, None]], dim=1).transpose(1, 2)
    overlap = logits.sigmoid() @ columns
    mismatch = torch.zeros_like(overlap[..., :-1])
    for weight, penalise in weights.penalties:
        outside, gain = penalise(logits)
        mismatch += weight * (outside @ valid[:, :, None] - gain @ masks.transpose(1, 2))
    return cost_of_sums(
        class_logits,
        targets.classes,
        mismatch=mismatch,
        overlap=overlap,
        owned=masks.sum(dim=2),
        labelled=valid.sum(dim=1),
        weights=weights,
    )


def matching_cost_at_points(
    predictions: Sequence[Prediction], targets: Targets, weights: LossWeights, points: Float[Tensor, "P 2"]
) -> Float[Tensor, "L B Q M"]:
    """Return the cost of giving every segment to every query, from the same points of all masks.

    Image by image: the logits of all layers at the points are larger than the maps, and needed for a moment only.
    """
    class_logits = torch.stack([prediction.class_logits for prediction in predictions])
    layers, batch, queries, _ = class_logits.shape
    costs = []
    for image in range(batch):
        one = slice(image, image + 1)
        masks = sample_together(targets.masks[image], points).T  # (M, P)
        valid = sample_labelled(targets.valid[one], points[None])  # (1, P)
        columns = torch.cat([masks, valid])
        mismatch, overlap = (masks.new_zeros(rows, layers * queries) for rows in (len(masks), len(columns)))
        for part, logits in logits_at_points(predictions, image, points):
            for weight, penalise in weights.penalties:
                outside, gain = penalise(logits)
                mismatch += weight * (valid[:, part] @ outside - masks[:, part] @ gain)
            overlap += columns[:, part] @ logits.sigmoid_()
        mismatch, overlap = (x.T.reshape(layers, 1, queries, -1) for x in (mismatch, overlap))
        cost = cost_of_sums(
            class_logits[:, one],
            targets.classes[one],
            mismatch=mismatch,
            overlap=overlap,
            owned=masks.sum(dim=1)[None],
            labelled=valid.sum(dim=1),
            weights=weights,
        )
        costs.append(cost)
    return torch.cat(costs, dim=1)


def logits_at_points(
    predictions: Sequence[Prediction], image: int, points: Float[Tensor, "P 2"]
) -> Iterator[tuple[slice, Float[Tensor, "some LQ"]]]:
    """Yield parts of the points with the mask logits of all layers and queries of an image there.

    Interpolation commutes with the product of features and mask embeddings: the product is made where there are fewer
    places, at the cells or at the points, and of large images no logits exist but those at the points of a part.
    """
    features, embeddings = predictions[-1].mask_features, [prediction.mask_embeddings for prediction in predictions]
    kernels = None
    if features is None or any(part is None for part in embeddings):
        maps = at_least_float32(torch.stack([prediction.mask_logits[image] for prediction in predictions])).flatten(
            0, 1
        )
        table = table_of(maps)
    else:
        maps = at_least_float32(features[image])
        table = table_of(maps)
        kernels = (
            at_least_float32(torch.stack([part[image] for part in embeddings if part is not None])).flatten(0, 1).T
        )
        if len(table) <= len(points):
            table, kernels = table @ kernels, None
    for first in range(0, len(points), POINTS_AT_ONCE):
        part = slice(first, first + POINTS_AT_ONCE)
        read = sample_table(table, (maps.shape[1], maps.shape[2]), points[part])
        yield part, read if kernels is None else read @ kernels


def cost_of_sums(
    class_logits: Float[Tensor, "L B Q K+1"],
    classes: Int[Tensor, "B M"],
    *,
    mismatch: Float[Tensor, "L B Q M"],
    overlap: Float[Tensor, "L B Q M+1"],
    owned: Float[Tensor, "B M"],
    labelled: Float[Tensor, "B"],
    weights: LossWeights,
) -> Float[Tensor, "L B Q M"]:
    """Return the cost of every (query, segment) of an image from sums over its cells or points.

    cost = -w_c p(class) + X + w_d D, with x the mask logit, s = sigmoid(x), t the share of a cell that the segment owns
    and v the share that is labelled:
    X = sum_p w (v outside(x) - t gain(x)) / sum_p v,  D = 1 - (2 sum_p s t + 1) / (sum_p s v + sum_p t + 1).
    The sums are `mismatch` (of X, over all penalties), `overlap` (s t, its last column s v), `owned` (t) and `labelled`
    (v): products of a (Q, P) with a (P, M) matrix.
    """
    columns = classes.clamp(min=0)[None, :, None].expand(len(class_logits), -1, class_logits.shape[2], -1)
    chance = at_least_float32(class_logits).softmax(dim=-1).gather(3, columns)
    mismatch = mismatch / labelled.clamp(min=1)[:, None, None]
    dice = 1 - (2 * overlap[..., :-1] + 1) / (overlap[..., -1:] + owned[:, None, :] + 1)
    return -weights.classification * chance + mismatch + weights.dice * dice


def assign(cost: Float[np.ndarray, "L B Q M"], is_segment: Bool[np.ndarray, "B M"]) -> Int[np.ndarray, "L B M"]:
    """Return the query of every segment, or -1 for padding and for segments that outnumber the queries."""
    layers, batch, _, num_segments = cost.shape
    query = np.full((layers, batch, num_segments), -1, dtype=np.int64)
    for image in np.flatnonzero(is_segment.any(axis=1)):
        columns = np.flatnonzero(is_segment[image])
        for layer in range(layers):
            rows, chosen = linear_sum_assignment(cost[layer, image][:, columns])
            query[layer, image, columns[chosen]] = rows
    return query


@torch.no_grad()
def match(
    class_logits: Float[Tensor, "L B Q K+1"],
    mask_logits: Float[Tensor, "L B Q h w"],
    targets: Targets,
    weights: LossWeights,
) -> Int[Tensor, "L B M"]:
    """Return the query of each segment in each layer, -1 where none, by whole maps.

    Raises:
        ValueError: if a cost is not finite; names the images.
    """
    return solve(matching_cost(class_logits, mask_logits, targets, weights), targets)


@torch.no_grad()
def match_at_points(
    predictions: Sequence[Prediction], targets: Targets, weights: LossWeights, points: Float[Tensor, "P 2"]
) -> Int[Tensor, "L B M"]:
    """Return the query of each segment in each layer, -1 where none, by points of the maps (Mask2Former).

    Raises:
        ValueError: if a cost is not finite; names the images.
    """
    return solve(matching_cost_at_points(predictions, targets, weights, points), targets)


def solve(cost: Float[Tensor, "L B Q M"], targets: Targets) -> Int[Tensor, "L B M"]:
    """Return the query of each segment in each layer, -1 where none; one transfer to the host and one back.

    Raises:
        ValueError: if a cost is not finite; names the images.
    """
    costs = cost.cpu().numpy()
    if not np.isfinite(costs).all():
        images = targets.image_ids.cpu().numpy()[~np.isfinite(costs).all(axis=(0, 2, 3))]
        raise ValueError(
            f"predictions for images {images.tolist()} are not finite: training has diverged; "
            "lower the learning rate or clip gradients"
        )
    return torch.from_numpy(assign(costs, targets.is_segment.cpu().numpy())).to(cost.device)


def match_final(
    prediction: Prediction, targets: Targets, weights: LossWeights | None = None
) -> tuple[Int[Tensor, "B Q"], Int[Tensor, "B Q"]]:
    """Return the label of every query of one prediction (K where unmatched) and its segment (-1 where unmatched).

    Raises:
        ValueError: if a prediction is not finite.
    """
    query = match(prediction.class_logits[None], prediction.mask_logits[None], targets, weights or LossWeights())[0]
    batch, num_queries, num_outputs = prediction.class_logits.shape
    labels = torch.full((batch, num_queries), num_outputs - 1, device=query.device)
    segments = torch.full_like(labels, -1)
    image, segment = (query >= 0).nonzero(as_tuple=True)
    labels[image, query[image, segment]] = targets.classes[image, segment]
    segments[image, query[image, segment]] = segment
    return labels, segments
