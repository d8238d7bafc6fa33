"""What the semantic maps of many rows earn on one image, under any penalties: counted without drawing a map.

Axes: R rows, Q queries, K classes, C some of the classes, G groups of pixels, N pixels, P penalties, I items.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from pading.classes import ClassTable
from pading.evaluate.choice import first_largest
from pading.evaluate.pixel_groups import GroupedTruth, PixelGroups, items

VALUES_PER_CHUNK = 2**19  # scores of rows x classes x pixels that stay in the processor's cache
ROWS_TOGETHER = 8  # rows that look at the same pixels: those that the bounds leave open for any of them
SMALLEST_SURE = 1e-30  # below it, rounding is no longer relative


def count_semantic_rows(
    probabilities: Float[Tensor, "R Q K1"],
    groups: PixelGroups,
    truth: GroupedTruth,
    classes: ClassTable,
    penalties: tuple[float, ...],
) -> Float64[np.ndarray, "2 R P K"]:
    """Return the pixels of each class that are right, and those in the union of truth and prediction.

    They are what `semantic.count_image` would count of the map of each row under each of the ascending penalties.
    """
    weights = probabilities[..., :-1].to(groups.masks.dtype).transpose(1, 2)  # (R, K, Q)
    if penalties == (0.0,):
        parts = [
            _without_penalty(weights[start : start + ROWS_TOGETHER], groups, truth)
            for start in range(0, len(weights), ROWS_TOGETHER)
        ]
        counted = np.concatenate(parts, axis=1)[:, :, None]
    else:
        counted = _with_penalties(weights, groups, truth, classes, penalties)
    area, correct = counted
    true_area = np.bincount(truth.classes[1:], weights=truth.area[1:], minlength=classes.num_classes)
    return np.stack([correct, area + true_area - correct])


def _without_penalty(
    weights: Float32[Tensor, "R K Q"], groups: PixelGroups, truth: GroupedTruth
) -> Float64[np.ndarray, "2 R K"]:
    """Return each class's pixels, and how many of them are right; what bounds decide is not looked at."""
    by_group, is_sure = _of_groups(weights, groups)
    is_open = ~np.logical_and.reduce(is_sure, axis=0)
    loose = groups.loose(is_open)
    by_pixel = [first_largest(scores, dim=1) for scores in _scores(weights, groups.masks[:, torch.from_numpy(loose)])]
    counted = items(truth, is_open, loose)
    labels = torch.cat([by_group[:, torch.from_numpy(counted.groups)], *by_pixel], dim=1).numpy()
    true_class = truth.classes[counted.label]
    size = np.where(true_class >= 0, counted.size, 0).astype(np.float64)  # void counts for nothing
    return _area_and_correct(labels, true_class, size, np.zeros_like(labels), (len(weights), 1, weights.shape[1]))[
        :, :, 0
    ]


def _of_groups(
    weights: Float32[Tensor, "R K Q"], groups: PixelGroups
) -> tuple[Int64[Tensor, "R G"], Bool[np.ndarray, "R G"]]:
    """Return the best class of each group by the lower bounds, and whether no other can be best at any of its pixels.

    All terms of a score are at least zero, so that its rounding error is at most Q + 1 units in its last place, in
    whatever order it is summed; bounds that are nearer to each other than several times that decide nothing.
    """
    margin = 4 * (weights.shape[2] + 2) * torch.finfo(torch.float32).eps
    labels, sure = [torch.zeros(len(weights), 0, dtype=torch.int64)], [np.zeros((len(weights), 0), dtype=bool)]
    for low, high in zip(_scores(weights, groups.low), _scores(weights, groups.high), strict=True):
        least, best = low.max(dim=1)
        others = high.scatter_(1, best[:, None], -1.0).amax(dim=1)
        labels.append(best)
        sure.append(((others < least * (1 - margin)) & (least > SMALLEST_SURE)).numpy())
    return torch.cat(labels, dim=1), np.concatenate(sure, axis=1)


def _with_penalties(
    weights: Float32[Tensor, "R K Q"],
    groups: PixelGroups,
    truth: GroupedTruth,
    classes: ClassTable,
    penalties: tuple[float, ...],
) -> Float64[np.ndarray, "2 R P K"]:
    """Return each class's pixels, and how many of them are right, under each penalty.

    A pixel is of its best seen class under the penalties below its lead, and of its best unseen one from there on. So
    pixels are counted once, by how many penalties that is. The lead itself is asked, which bounds seldom decide.
    """
    seen, unseen = (torch.tensor(group, dtype=torch.int64) for group in (classes.seen, classes.unseen))
    true_class = truth.classes[truth.label]
    valid = np.flatnonzero(true_class >= 0)
    true_class = true_class[valid]
    scale = np.array(penalties, dtype=np.float32)
    shape = (len(weights), len(scale) + 1, classes.num_classes)
    total = np.zeros((2, *shape))
    done, of_unseen = 0, np.zeros((2, *shape))
    for scores in _scores(weights[:, torch.cat([seen, unseen])], groups.masks[:, torch.from_numpy(valid)]):
        first, best_seen = _best(scores[:, : len(seen)], seen)
        second, best_unseen = _best(scores[:, len(seen) :], unseen)
        lead = best_seen - best_unseen
        num_seen = np.searchsorted(scale, lead, side="left")
        is_tied = (num_seen < len(scale)) & (first < second)
        is_tied[is_tied] = scale[num_seen[is_tied]] == lead[is_tied]
        num_seen += is_tied  # the first of equals wins
        truth_here = true_class[done : (done := done + lead.shape[1])]
        size = np.ones(lead.shape[1])
        total += _area_and_correct(first, truth_here, size, num_seen, shape)
        of_unseen += _area_and_correct(second, truth_here, size, num_seen, shape)
    # Under penalty p, pixels with more than p penalties below their lead are seen, the others unseen.
    counted: np.ndarray = total.sum(axis=2, keepdims=True) - total.cumsum(axis=2)[:, :, :-1]
    counted += of_unseen.cumsum(axis=2)[:, :, :-1]
    return counted


def _scores(weights: Float32[Tensor, "R K Q"], masks: Float32[Tensor, "Q N"]) -> Iterator[Float32[Tensor, "R K n"]]:
    """Yield sum_q p_q(c) sigma(m_q) of all rows, for some pixels or bounds after the other."""
    num_rows, num_classes, _ = weights.shape
    stacked = weights.reshape(num_rows * num_classes, -1)
    width = max(64, VALUES_PER_CHUNK // len(stacked))
    for start in range(0, masks.shape[1], width):
        yield (stacked @ masks[:, start : start + width]).view(num_rows, num_classes, -1)


def _best(
    scores: Float32[Tensor, "R C N"], numbers: Int64[Tensor, "C"]
) -> tuple[Int64[np.ndarray, "R N"], Float32[np.ndarray, "R N"]]:
    """Return the best of some classes and its score; of none, no class can have less."""
    if len(numbers) == 0:
        shape = (len(scores), scores.shape[2])
        return np.zeros(shape, dtype=np.int64), np.full(shape, -np.inf, dtype=np.float32)
    return numbers[first_largest(scores, dim=1)].numpy(), scores.amax(dim=1).numpy()


def _area_and_correct(
    labels: Int64[np.ndarray, "R I"],
    true_class: Int64[np.ndarray, "I"],
    size: Float64[np.ndarray, "I"],
    num_seen: Int64[np.ndarray, "R I"],
    shape: tuple[int, int, int],
) -> Float64[np.ndarray, "2 R P1 K"]:
    """Return how many pixels have a label, and how many of them rightly, by row and number of penalties."""
    code = (np.arange(shape[0])[:, None] * shape[1] + num_seen) * shape[2] + labels
    code *= 2
    code += labels == true_class
    sizes = np.broadcast_to(size, code.shape).ravel()
    counts = np.bincount(code.ravel(), weights=sizes, minlength=2 * int(np.prod(shape))).reshape(*shape, 2)
    return np.stack([counts.sum(axis=-1), counts[..., 1]])
