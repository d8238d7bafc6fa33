"""Relationship alignment: classes that are close in text should be close in feature space (PADing, eq. 6).

Axes: N seen and M unseen rows, D feature width, E text width.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

TAU = 0.1  # PADing's code


def relationship_alignment(
    seen: Float[Tensor, "N D"],
    seen_text: Float[Tensor, "N E"],
    unseen: Float[Tensor, "M D"],
    unseen_text: Float[Tensor, "M E"],
    tau: float = TAU,
) -> Float[Tensor, ""]:
    """Return the divergence of feature relations from text relations, summed over the three groups of PADing eq. (6).

    A relation is the softmax over j of cosine(i, j) / tau. The groups are seen to seen and unseen to unseen (intra) and
    seen to unseen (inter); each contributes the mean over rows i of KL(text relation || feature relation). Row i of a
    text argument is the embedding of the class of row i; text is a target and gets no gradient.

    Raises:
        ValueError: if a group is empty, text and feature rows differ in number, or tau is not positive.
    """
    if tau <= 0:
        raise ValueError(f"tau is {tau}: pass a positive temperature")
    if not len(seen) or not len(unseen) or len(seen) != len(seen_text) or len(unseen) != len(unseen_text):
        raise ValueError(
            f"alignment of {len(seen)} seen rows with {len(seen_text)} texts and {len(unseen)} unseen rows with "
            f"{len(unseen_text)}: both groups need rows, and each row its text"
        )
    seen, unseen = F.normalize(seen, dim=1), F.normalize(unseen, dim=1)
    seen_text, unseen_text = F.normalize(seen_text.detach(), dim=1), F.normalize(unseen_text.detach(), dim=1)
    return (
        _divergence(seen_text @ seen_text.T, seen @ seen.T, tau)
        + _divergence(unseen_text @ unseen_text.T, unseen @ unseen.T, tau)
        + _divergence(seen_text @ unseen_text.T, seen @ unseen.T, tau)
    )


def _divergence(target: Float[Tensor, "N M"], cosine: Float[Tensor, "N M"], tau: float) -> Float[Tensor, ""]:
    target_log = torch.log_softmax(target / tau, dim=1)
    return F.kl_div(torch.log_softmax(cosine / tau, dim=1), target_log, log_target=True, reduction="batchmean")
