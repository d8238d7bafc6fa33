"""Mask recall: how many true segments some query covers, whatever its class; no classifier can do better."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from pading.evaluate.overlap import Overlap


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskRecallTally:
    """Per class: true segments (crowds left out), and those that a query's mask overlaps at IoU 0.5 or more."""

    num_found: Int64[np.ndarray, "K"]
    num_true: Int64[np.ndarray, "K"]

    def __add__(self, other: "MaskRecallTally") -> "MaskRecallTally":
        return MaskRecallTally(num_found=self.num_found + other.num_found, num_true=self.num_true + other.num_true)


def count_image(overlap: Overlap, num_classes: int, iou_threshold: float = 0.5) -> MaskRecallTally:
    """Count one image: a segment is found if the best IoU over all queries reaches the threshold."""
    is_found = (overlap.iou >= iou_threshold).any(axis=0)
    return MaskRecallTally(
        num_found=np.bincount(overlap.classes[is_found & ~overlap.is_crowd], minlength=num_classes),
        num_true=np.bincount(overlap.classes[~overlap.is_crowd], minlength=num_classes),
    )
