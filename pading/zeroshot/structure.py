"""The structural part of the generator's objective: L_A + L_D of PADing, eq. 7.

Axes: G groups (a group is some rows of one class), N rows of each, K classes, D feature width, E text width.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from pading.zeroshot.alignment import relationship_alignment
from pading.zeroshot.disentangle import DisentangleConfig, Disentangler, disentanglement


@dataclass(frozen=True, kw_only=True)
class StructureConfig:
    """Form of the structural losses.

    `relate` says what eq. (6) compares: single rows, as printed, or the mean row of each class. Between rows the loss
    also rewards synthetic rows of one class for being identical, which removes the spread that the classifier needs;
    between class means it does not. `is_centred` removes what all classes have in common before cosines are taken, from
    features and from texts: CLIP texts of any two names are much alike, and features share an offset of their own.
    """

    relate: Literal["rows", "class_means"] = "class_means"
    is_centred: bool = True
    disentangle: DisentangleConfig = field(default_factory=DisentangleConfig)


def structure_losses(
    disentangler: Disentangler | None,
    seen: Float[Tensor, "G N D"],
    unseen: Float[Tensor, "U N D"],
    seen_labels: Int64[Tensor, "G"],
    unseen_labels: Int64[Tensor, "U"],
    text: Float[Tensor, "K E"],
    tau: float,
    config: StructureConfig,
) -> dict[str, Float[Tensor, ""]]:
    """Return the alignment loss and, with a disentangler, its three terms.

    With a disentangler the related parts are aligned with text, without one the features themselves. Seen groups may be
    real or synthetic, unseen ones are synthetic; without unseen classes there is nothing to align.
    """
    groups, labels = torch.cat([seen, unseen]), torch.cat([seen_labels, unseen_labels])
    losses = {}
    if disentangler is not None:
        rows = groups.flatten(0, 1)
        parts = disentangler(rows)
        row_labels = labels.repeat_interleave(groups.shape[1])
        losses = disentanglement(disentangler, parts, rows, row_labels, text, config.disentangle)
        groups = parts.related.view_as(groups)
    if len(unseen):
        if config.is_centred:
            groups, text = groups - groups.detach().mean(dim=(0, 1)), text - text.mean(dim=0)
        if config.relate == "class_means":
            groups = groups.mean(dim=1, keepdim=True)
        compared, row_text = groups.flatten(0, 1), text[labels].repeat_interleave(groups.shape[1], dim=0)
        first = len(seen) * groups.shape[1]  # of the unseen rows
        losses["alignment"] = relationship_alignment(
            compared[:first], row_text[:first], compared[first:], row_text[first:], tau
        )
    return losses
