"""Scorers that read the cached region embeddings of an image: CLIP alone, or fused with a classifier (ZegFormer).

Axes: Q queries, K classes, D query embedding, E width of the image branch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from pading.classes import ClassTable
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.scorer import Scorer
from pading.zeroshot.zegformer import Objectness, ZegformerConfig, fuse, region_probabilities


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageBranch:
    """Class text and logit scale of the CLIP that encoded regions, and the style in which they were cut out."""

    text: Float32[np.ndarray, "K E"]
    logit_scale: float
    style: str

    def probabilities(
        self, image: ImagePrediction, class_logits: Float[Tensor, "Q K+1"], objectness: Objectness
    ) -> Float[Tensor, "Q K+1"]:
        """Return p'_q of an image's queries.

        Raises:
            ValueError: if the image has no region embeddings of the style, or they are of another width.
        """
        if self.style not in image.regions:
            has = ", ".join(image.regions) or "none"
            raise ValueError(f"image {image.image_id} has no region embeddings {self.style!r} (it has {has})")
        regions = image.regions[self.style]
        if regions.shape[1] != self.text.shape[1]:
            raise ValueError(
                f"image {image.image_id}: region embeddings are {regions.shape[1]} wide, class text "
                f"{self.text.shape[1]}; both must come from one CLIP"
            )
        return region_probabilities(
            torch.from_numpy(regions), torch.tensor(self.text), self.logit_scale, class_logits, objectness
        )


def image_scorer(
    name: str,
    classifier: Callable[[Float[Tensor, "Q D"]], Float[Tensor, "Q K+1"]],
    branch: ImageBranch,
    config: ZegformerConfig,
    inference: InferenceConfig,
) -> Scorer:
    """Return the scorer of the image branch alone (ZegFormer-img); the classifier lends it no-object only."""

    def classify(image: ImagePrediction) -> Float[Tensor, "Q K+1"]:
        logits = classifier(torch.from_numpy(image.query_embeddings))
        return branch.probabilities(image, logits, config.objectness)

    return Scorer(name=name, classify=classify, inference=inference)


def fused_scorer(
    name: str,
    classifier: Callable[[Float[Tensor, "Q D"]], Float[Tensor, "Q K+1"]],
    branch: ImageBranch,
    classes: ClassTable,
    config: ZegformerConfig,
    inference: InferenceConfig,
) -> Scorer:
    """Return the scorer of both branches (ZegFormer), for any classifier of query embeddings."""
    is_seen = torch.tensor(classes.is_seen)

    def classify(image: ImagePrediction) -> Float[Tensor, "Q K+1"]:
        logits = classifier(torch.from_numpy(image.query_embeddings))
        of_regions = branch.probabilities(image, logits, config.objectness)
        return fuse(logits.softmax(dim=1), of_regions, is_seen, config)

    return Scorer(name=name, classify=classify, inference=inference)
