"""What the panoptic maps of many rows earn on one image, under any seen penalties: counted without drawing a map.

Axes: R rows, Q queries, K classes, P penalties, N heats (sets of candidates that compete), B tables, G groups of
pixels, M true segments, I items.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from pading.classes import ClassTable
from pading.data.sample import Segment
from pading.evaluate.choice import choose, first_largest
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.panoptic import PanopticTally, count_tables
from pading.evaluate.pixel_groups import GroupedTruth, Items, PixelGroups, items

VALUES_PER_CHUNK = 2**19  # products of heats x queries x pixels that stay in the processor's cache
HEATS_TOGETHER = 8  # that look at the same pixels: those that the bounds leave open for any of them


@dataclass(frozen=True, kw_only=True, eq=False)
class _Names:
    """What each query is called under each penalty, its score, and whether it is then a candidate."""

    labels: Int64[np.ndarray, "P R Q"]
    scores: Float32[Tensor, "R Q"]
    is_candidate: Bool[np.ndarray, "P R Q"]


def count_panoptic_rows(
    probabilities: Float[Tensor, "R Q K1"],
    groups: PixelGroups,
    truth: GroupedTruth,
    segments: tuple[Segment, ...],
    classes: ClassTable,
    config: InferenceConfig,
    penalties: tuple[float, ...],
) -> PanopticTally:
    """Return the tally of the panoptic map of each row under each of the ascending penalties, that of `config` aside.

    Pixels are compared with the truth once for each set of candidates, mostly one a row; neighbouring penalties that
    give the survivors the same names share the rest, too.
    """
    names = _names(probabilities, classes, config, penalties)
    rows, members, heat = _heats(names.is_candidate)
    scores = names.scores[torch.from_numpy(rows)]
    parts = [slice(start, start + HEATS_TOGETHER) for start in range(0, len(rows), HEATS_TOGETHER)]
    pairs = np.concatenate([_kept_pairs(scores[part], members[part], groups, truth, config) for part in parts])
    survives = np.logical_or.reduce(pairs, axis=2)  # (N, Q)
    named = np.where(survives[heat], names.labels, -1)  # (P, R, Q)
    is_new = np.ones(heat.shape, dtype=bool)
    is_new[1:] = (named[1:] != named[:-1]).any(axis=2) | (heat[1:] != heat[:-1])
    table = np.cumsum(is_new.ravel(order="F")).reshape(heat.shape, order="F") - 1  # (P, R), row by row
    chosen = is_new.T  # (R, P): in the order of the tables
    slots, counts = _merged(named.transpose(1, 0, 2)[chosen], pairs[heat.T[chosen]], classes)
    tally = count_tables(counts, slots, truth.area, segments, classes.num_classes)
    by_row = table.T  # (R, P)
    return PanopticTally(
        iou_parts=tally.iou_parts[:, by_row],
        true_positives=tally.true_positives[by_row],
        false_positives=tally.false_positives[by_row],
        false_negatives=tally.false_negatives[by_row],
    )


def _names(
    probabilities: Float[Tensor, "R Q K1"],
    classes: ClassTable,
    config: InferenceConfig,
    penalties: tuple[float, ...],
) -> _Names:
    """Return what `inference.panoptic_map` takes for objects, of all rows and penalties."""
    num_rows, num_queries, _ = probabilities.shape
    choice = choose(probabilities[..., :-1].flatten(0, 1).T, classes.is_seen)
    labels = torch.stack([choice.labels(penalty) for penalty in penalties]).view(-1, num_rows, num_queries)
    scores, best = probabilities.max(dim=2)
    threshold = torch.full_like(scores, config.object_score_threshold).expand(labels.shape)
    if config.unseen_score_threshold is not None:
        is_seen = torch.tensor(classes.is_seen)[labels]
        threshold = torch.where(is_seen, threshold, torch.full_like(scores, config.unseen_score_threshold))
    is_candidate = (best < classes.num_classes) & (scores > threshold)
    return _Names(labels=labels.numpy(), scores=scores, is_candidate=is_candidate.numpy())


def _heats(
    is_candidate: Bool[np.ndarray, "P R Q"],
) -> tuple[Int64[np.ndarray, "N"], Bool[np.ndarray, "N Q"], Int64[np.ndarray, "P R"]]:
    """Return the sets of candidates that occur, the row of each, and which one each row has under each penalty."""
    num_penalties, num_rows, num_queries = is_candidate.shape
    if (is_candidate == is_candidate[0]).all():
        rows = np.arange(num_rows)
        return rows, is_candidate[0], np.broadcast_to(rows, (num_penalties, num_rows))
    row = np.broadcast_to(np.arange(num_rows)[:, None], (num_penalties, num_rows, 1))
    keys = np.concatenate([row, is_candidate], axis=2).reshape(-1, 1 + num_queries)
    found, heat = np.unique(keys, axis=0, return_inverse=True)
    return found[:, 0], found[:, 1:].astype(bool), heat.reshape(num_penalties, num_rows)


def _kept_pairs(
    scores: Float32[Tensor, "N Q"],
    members: Bool[np.ndarray, "N Q"],
    groups: PixelGroups,
    truth: GroupedTruth,
    config: InferenceConfig,
) -> Int64[np.ndarray, "N Q M1"]:
    """Return how many pixels each candidate keeps of each true label, as `inference.panoptic_map` would have it."""
    pairs = np.zeros((*members.shape, len(truth.area)), dtype=np.int64)
    used = np.flatnonzero(members.any(axis=0))
    if len(used) == 0:
        return pairs
    columns, is_member = torch.from_numpy(used), torch.from_numpy(members[:, used])
    weights = torch.where(is_member, scores[:, columns].to(groups.masks.dtype), -1.0)  # no pixel goes to another query
    masks = groups.masks[columns]
    by_group, is_sure = _of_groups(weights, groups.low[columns], groups.high[columns], config.mask_threshold)
    has_candidate = np.logical_or.reduce(members, axis=1)
    is_open = ~(is_sure | ~has_candidate[:, None]).all(axis=0)
    loose = groups.loose(is_open)
    by_pixel = _of_pixels(weights, is_member, masks[:, torch.from_numpy(loose)], config.mask_threshold)
    counted = items(truth, is_open, loose)
    found = _counts(by_group, by_pixel, counted, len(used), len(truth.area))
    inside_area = (masks >= config.mask_threshold).sum(dim=1).clamp(min=1).numpy()
    keeps = members[:, used] & (found.sum(axis=(2, 3)) / inside_area >= config.overlap_threshold)
    pairs[:, used] = np.where(keeps[..., None], found[:, :, 1], 0)
    return pairs


def _of_groups(
    weights: Float32[Tensor, "N Q"], low: Float32[Tensor, "Q G"], high: Float32[Tensor, "Q G"], threshold: float
) -> tuple[Int64[np.ndarray, "N G"], Bool[np.ndarray, "N G"]]:
    """Return what all pixels of a group come to, 2 * winner + [inside its mask], and whether the bounds decide it.

    Rounding keeps the order of products, so that products of bounds are bounds of products.
    """
    outcomes, sure = [np.zeros((len(weights), 0), dtype=np.int64)], [np.zeros((len(weights), 0), dtype=bool)]
    for chunk in _chunks(weights, low.shape[1]):
        least, winner = (weights[:, :, None] * low[:, chunk]).max(dim=1)
        others = (weights[:, :, None] * high[:, chunk]).scatter_(1, winner[:, None], -2.0).amax(dim=1)
        is_inside, is_touched = (bound[:, chunk].gather(0, winner) >= threshold for bound in (low, high))
        outcomes.append((2 * winner + is_inside).numpy())
        sure.append(((least > 0) & (others < least) & (is_inside == is_touched)).numpy())
    return np.concatenate(outcomes, axis=1), np.concatenate(sure, axis=1)


def _of_pixels(
    weights: Float32[Tensor, "N Q"], is_member: Bool[Tensor, "N Q"], masks: Float32[Tensor, "Q n"], threshold: float
) -> Int64[np.ndarray, "N n"]:
    first_member = is_member.byte().argmax(dim=1)
    outcomes = [np.zeros((len(weights), 0), dtype=np.int64)]
    for chunk in _chunks(weights, masks.shape[1]):
        winner = first_largest(weights[:, :, None] * masks[:, chunk], dim=1)
        # Should all candidates have nothing, the first of them has as much as any.
        winner = torch.where(is_member.gather(1, winner), winner, first_member[:, None])
        outcomes.append((2 * winner + (masks[:, chunk].gather(0, winner) >= threshold)).numpy())
    return np.concatenate(outcomes, axis=1)


def _counts(
    by_group: Int64[np.ndarray, "N G"],
    by_pixel: Int64[np.ndarray, "N n"],
    counted: Items,
    num_queries: int,
    num_labels: int,
) -> Float64[np.ndarray, "N Q 2 M1"]:
    """Return how many pixels each query won outside and inside its mask, by true label."""
    outcome = np.concatenate([by_group[:, counted.groups], by_pixel], axis=1)
    shape = (len(outcome), num_queries, 2, num_labels)
    code = (np.arange(len(outcome))[:, None] * (2 * num_queries) + outcome) * num_labels + counted.label
    sizes = np.broadcast_to(counted.size.astype(np.float64), code.shape).ravel()
    return np.bincount(code.ravel(), weights=sizes, minlength=int(np.prod(shape))).reshape(shape)


def _merged(
    named: Int64[np.ndarray, "B Q"], pairs: Int64[np.ndarray, "B Q M1"], classes: ClassTable
) -> tuple[Int64[np.ndarray, "B Q"], Int64[np.ndarray, "B Q M1"]]:
    """Return segments in the place of queries: stuff of one class is one, in the place of its first query.

    The first result has the class of each segment, -1 where there is none.
    """
    num_tables, num_queries = named.shape
    is_stuff = np.append(~np.asarray(classes.is_thing), False)[named]  # -1 reads the last
    place = np.broadcast_to(np.arange(num_queries), named.shape).copy()
    tables, queries = np.nonzero(is_stuff)
    place[tables, queries] = (named[tables] == named[tables, queries][:, None]).argmax(axis=1)
    merged = np.zeros_like(pairs)
    np.add.at(merged, (np.arange(num_tables)[:, None], place), pairs)
    return np.where(place == np.arange(num_queries), named, -1), merged


def _chunks(weights: Float32[Tensor, "N Q"], num_columns: int) -> list[slice]:
    width = max(64, VALUES_PER_CHUNK // max(weights.numel(), 1))
    return [slice(start, start + width) for start in range(0, num_columns, width)]
