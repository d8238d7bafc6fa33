"""Semantic segmentation quality from a confusion matrix: count one image, add tallies, read IoU.

Axes: K classes, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, Int64

from pading.data.sample import Segment
from pading.evaluate.pairs import count_pairs


@dataclass(frozen=True, kw_only=True, eq=False)
class SemanticTally:
    """Pixels by (true class, predicted class), and the pixels that were left out because their truth is void."""

    confusion: Int64[np.ndarray, "K K"]
    num_ignored: int

    def __add__(self, other: "SemanticTally") -> "SemanticTally":
        return SemanticTally(
            confusion=self.confusion + other.confusion, num_ignored=self.num_ignored + other.num_ignored
        )

    def iou(self) -> Float64[np.ndarray, "K"]:
        """Return TP / (TP + FP + FN) of each class; NaN for a class that is neither in the truth nor predicted."""
        correct = np.diagonal(self.confusion)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - correct
        return correct / np.where(union > 0, union, np.nan)

    def accuracy(self) -> Float64[np.ndarray, "K"]:
        """Return the share of each class's true pixels that was found; NaN for a class that is not in the truth."""
        true_pixels = self.confusion.sum(axis=1)
        return np.diagonal(self.confusion) / np.where(true_pixels > 0, true_pixels, np.nan)

    def pixel_accuracy(self) -> float:
        """Return the share of all valid pixels that is right; NaN without any."""
        total = int(self.confusion.sum())
        return int(np.trace(self.confusion)) / total if total else float("nan")


def count_image(
    predicted_map: Int[np.ndarray, "H W"],
    label_map: Int[np.ndarray, "H W"],
    segments: Sequence[Segment],
    num_classes: int,
) -> SemanticTally:
    """Count one image: every pixel of a segment, crowds too, has its segment's class; pixels with label 0 are ignored.

    Raises:
        ValueError: if the maps differ in size, a label has no segment, or a predicted class is outside the table.
    """
    counts = count_pairs(label_map, predicted_map, len(segments) + 1, num_classes)
    confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(confusion, [segment.class_index for segment in segments], counts[1:])
    return SemanticTally(confusion=confusion, num_ignored=int(counts[0].sum()))
