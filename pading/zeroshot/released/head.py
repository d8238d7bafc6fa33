"""The class head of PADing's code: where it starts, and the loss it is fitted with.

Axes: R rows, K classes, D feature width.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.fit_classifier import NO_OBJECT_WEIGHT, expand_head


@dataclass(frozen=True, kw_only=True)
class ReleasedHeadConfig:
    """How the head is fitted: plain SGD, whose rate never falls; the numbers are the code's for the panoptic task."""

    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 5e-4
    unseen_per_step: int = 5  # distinct unseen classes, one synthetic vector each; NUM_CHOOSE
    unseen_weight: float = 5.0  # CLASS_ECO
    no_object_weight: float = NO_OBJECT_WEIGHT
    queries_per_image: int = 100  # which the published loop sees all of; see `no_object_factor`
    unseen_rows: Literal["pretrained", "zero"] = "pretrained"  # at the start
    zero_no_object_row: bool = False
    """Repeat a slip of the published conversion of instance and semantic heads: the trained no-object row lands on the
    first unseen class, and no-object starts from zero."""

    def __post_init__(self) -> None:
        if self.unseen_per_step < 1 or self.queries_per_image < 1:
            raise ValueError(
                f"unseen_per_step {self.unseen_per_step} and queries_per_image {self.queries_per_image}: "
                "both must be at least 1"
            )
        if min(self.unseen_weight, self.no_object_weight) < 0:
            raise ValueError(f"class weights {self.unseen_weight} and {self.no_object_weight}: none may be negative")


def initial_head(old_head: LinearClassifier, classes: ClassTable, config: ReleasedHeadConfig) -> LinearClassifier:
    """Return the head that fitting starts from: the pretrained one.

    A panoptic head is pretrained with an output for every class. Its unseen rows never had a positive, so they have
    learned to be silent; "pretrained" keeps them so. Instance and semantic heads are pretrained on seen classes alone,
    and the conversion fills the new rows with zeros.

    Raises:
        ValueError: if the head has not K + 1 outputs.
    """
    unseen = list(classes.unseen)
    head = expand_head(old_head, classes)
    with torch.no_grad():
        for expanded, old in ((head.weight, old_head.weight), (head.bias, old_head.bias)):
            expanded[unseen] = 0 if config.unseen_rows == "zero" else old[unseen]
            if config.zero_no_object_row:
                expanded[unseen] = 0
                expanded[unseen[:1]] = old[classes.no_object]
                expanded[classes.no_object] = 0
    return head


def class_weights(real: Features, classes: ClassTable, config: ReleasedHeadConfig) -> Float[Tensor, "K+1"]:
    """Return the weight of each output in the cross-entropy: 1 for seen classes.

    The loss divides by the sum of the weights of its rows.
    """
    weights = torch.ones(classes.num_classes + 1, device=real.embeddings.device)
    weights[list(classes.unseen)] = config.unseen_weight
    weights[classes.no_object] = config.no_object_weight * no_object_factor(real, classes, config.queries_per_image)
    return weights


def no_object_factor(real: Features, classes: ClassTable, queries_per_image: int) -> float:
    """Return how many unmatched queries each cached no-object row stands for.

    The published loop fits on every query of an image; a cache keeps a few of the unmatched ones, drawn at random.
    Weighing these up keeps the expected loss (both its sum and the weights it is divided by), at more variance. Never
    below 1, and 1 where every query was kept.
    """
    num_kept = int((real.labels == classes.no_object).sum())
    num_unmatched = queries_per_image * len(torch.unique(real.image_ids)) - (len(real) - num_kept)
    return max(1.0, num_unmatched / num_kept) if num_kept else 1.0
