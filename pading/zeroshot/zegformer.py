"""ZegFormer's equations on cached vectors: what CLIP says of the region under a query's mask, and its fusion with p_q.

The segmentation branch is any classifier of query embeddings; its probabilities are p_q. The image branch compares the
embedding A_q of the region with class text of the same CLIP; its probabilities are p'_q.
Axes: Q queries, K classes, E width of the image branch. Column K is no-object.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Objectness = Literal["kept", "borrowed"]


@dataclass(frozen=True, kw_only=True)
class ZegformerConfig:
    """Constants of ZegFormer's rows; the published values, but for `objectness`."""

    weight: float = 2 / 3  # lambda, ZegFormer's code
    """Share of the segmentation branch in the means of seen classes, of the image branch in those of unseen ones."""
    seen_penalty: float = 0.1  # gamma, ZegFormer's code
    """Taken from the scores of seen classes by ZegFormer's own rows."""
    fused_classes: Literal["unseen", "all"] = "unseen"
    """Which classes the image branch tells apart: unseen ones (eq. 4), or all (the alternative in ZegFormer's code)."""
    objectness: Objectness = "kept"
    """Both branches are as sure that a query is an object as the classifier is; or as published: the image branch adds
    the classifier's no-object logit to its own logits, which suits logits of one scale."""

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight is {self.weight}: lambda is a share, between 0 and 1")


def region_probabilities(
    regions: Float[Tensor, "Q E"],
    text: Float[Tensor, "K E"],
    logit_scale: float,
    class_logits: Float[Tensor, "Q K+1"],
    objectness: Objectness,
) -> Float[Tensor, "Q K+1"]:
    """Return p'_q, Eq. 1 with A_q: softmax over classes of logit_scale cos(T_c, A_q), and a borrowed no-object.

    CLIP has no text for no-object. "borrowed" adds the last of `class_logits`, the classifier's, to the softmax, as
    published; "kept" borrows its probability: p'_q(c) = (1 - p_q(no-object)) softmax_c. A query without a region, whose
    row is NaN, was not encoded because it matters nowhere on the photo, and is called no-object.
    """
    is_encoded = regions.isfinite().all(dim=1, keepdim=True)
    logits = logit_scale * F.normalize(regions.nan_to_num(), dim=1) @ F.normalize(text, dim=1).T
    if objectness == "borrowed":
        probabilities = torch.cat([logits, class_logits[:, -1:]], dim=1).softmax(dim=1)
    else:
        of_queries = class_logits.softmax(dim=1)
        of_object = of_queries[:, :-1].sum(dim=1, keepdim=True)
        probabilities = torch.cat([of_object * logits.softmax(dim=1), of_queries[:, -1:]], dim=1)
    nothing = F.one_hot(torch.tensor(text.shape[0]), text.shape[0] + 1).to(probabilities.dtype)
    return torch.where(is_encoded, probabilities, nothing)


def geometric_means(
    of_queries: Float[Tensor, "Q K+1"],
    of_regions: Float[Tensor, "Q K+1"],
    is_seen: Bool[Tensor, "K"],
    config: ZegformerConfig,
) -> Float[Tensor, "Q K"]:
    """Return Eq. 4 as published, from p_q and p'_q whose no-object column is dropped after the softmax.

    p_q(c)^lambda p_avg^(1 - lambda) of a seen class, p_avg the mean of p'_q over seen classes; of an unseen class
    p_q(c)^(1 - lambda) p'_q(c)^lambda. Among seen classes the classifier alone decides: CLIP, which is not tuned to
    them, only says how likely a seen one is at all.

    Raises:
        ValueError: if no class is seen, so that there is no mean to take.
    """
    if not bool(is_seen.any()):
        raise ValueError("no class is seen: the image branch's mean over seen classes does not exist")
    weight = config.weight
    queries, regions = of_queries[:, :-1], of_regions[:, :-1]
    mixed = queries ** (1 - weight) * regions**weight
    if config.fused_classes == "all":
        return mixed
    average = regions[:, is_seen].mean(dim=1, keepdim=True)
    return torch.where(is_seen, queries**weight * average ** (1 - weight), mixed)


def fuse(
    of_queries: Float[Tensor, "Q K+1"],
    of_regions: Float[Tensor, "Q K+1"],
    is_seen: Bool[Tensor, "K"],
    config: ZegformerConfig,
) -> Float[Tensor, "Q K+1"]:
    """Return the probabilities of both branches together: geometric means, as sure of themselves as p_q.

    Geometric means are no distribution and much smaller than one: a panoptic map, which asks for 0.8, would be empty.
    They are raised to 1 / max(lambda, 1 - lambda), so that the larger share counts as a whole probability (with
    lambda >= 1/2, odds between seen classes are those of p_q), and scaled to the p_q of all classes together; no-object
    keeps its p_q. Neither step changes which class is best. A query to which the image branch gives no class
    at all, for it was not encoded, keeps its p_q whole.
    """
    means = geometric_means(of_queries, of_regions, is_seen, config)
    means = means ** (1 / max(config.weight, 1 - config.weight))
    of_object = of_queries[:, :-1].sum(dim=1, keepdim=True)
    total = means.sum(dim=1, keepdim=True)
    fused = torch.cat([of_object * means / total.clamp(min=torch.finfo(means.dtype).tiny), of_queries[:, -1:]], dim=1)
    is_named = (of_regions[:, :-1] > 0).any(dim=1, keepdim=True)
    return torch.where(is_named, fused, of_queries)
