"""From class probabilities and masks to panoptic, semantic and instance output, as Mask2Former and PADing do it.

`upsampled_masks` is the costly part and knows no classifier: do it once per image, then ask each classifier's
probabilities. Axes: Q queries, K classes, h w mask pixels at the network's stride, H W pixels of the photo.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64
from torch import Tensor
from torch.nn import functional

from pading.classes import ClassTable
from pading.evaluate.choice import Choice, choose, first_largest
from pading.evaluate.pixel_groups import PixelGroups, group_pixels
from pading.evaluate.predictions import ImagePrediction

PIXELS_PER_CHUNK = 16384  # the class scores of one chunk stay in the processor's cache
PIXELS_UPSAMPLED_TOGETHER = 2**21  # likewise, of several queries' masks at the network's input size


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Thresholds of the three outputs, PADing's published values; and two corrections for zero-shot bias, off."""

    object_score_threshold: float = 0.8
    overlap_threshold: float = 0.8
    mask_threshold: float = 0.5
    max_instances: int = 100
    seen_penalty: float = 0.0
    """ZegFormer's gamma, taken from the score of every seen class; negative: given."""
    unseen_score_threshold: float | None = None
    """Takes the place of `object_score_threshold` for queries that are called unseen; None: one for all."""

    def __post_init__(self) -> None:
        for name in ("object_score_threshold", "overlap_threshold", "mask_threshold", "unseen_score_threshold"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; it is a probability or a ratio, between 0 and 1")
        if not math.isfinite(self.seen_penalty):
            raise ValueError(f"seen_penalty is {self.seen_penalty}; it is taken from scores and must be finite")
        if self.max_instances < 1:
            raise ValueError(f"max_instances is {self.max_instances}; keep at least one instance")


@dataclass(frozen=True, kw_only=True, eq=False)
class UpsampledMasks:
    """The masks of an image's queries at the size of the photo, and what every classifier asks of them."""

    probabilities: Float32[Tensor, "Q H W"]
    is_positive: Bool[Tensor, "Q H W"]  # logit > 0: the mask as an instance
    mean_probability: Float32[Tensor, "Q"]  # over the pixels where is_positive; 0 for an empty mask

    @cached_property
    def groups(self) -> PixelGroups:
        """The groups of pixels by which many rows are scored, found when they are first asked for."""
        return group_pixels(self.probabilities)


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """The queries that compete for an image's pixels: what each is called, and the score that it competes with."""

    queries: Int64[Tensor, "S"]
    labels: Int64[Tensor, "S"]
    scores: Float[Tensor, "S"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PanopticMap:
    """A partition of an image: pixel 0 is void, i + 1 is a segment of classes[i]."""

    label_map: Int32[np.ndarray, "H W"]
    classes: Int64[np.ndarray, "S"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Instances:
    """Scored instances: each is the mask of a query under one class; a query may serve several."""

    queries: Int64[np.ndarray, "*R N"]  # R: as many rows as were asked together, if any
    classes: Int64[np.ndarray, "*R N"]
    scores: Float[np.ndarray, "*R N"]


def upsampled_masks(prediction: ImagePrediction) -> UpsampledMasks:
    """Return the masks at the photo's size: bilinear to the network input, cut to the content, bilinear again."""
    size = (prediction.height, prediction.width)
    shape = (len(prediction.mask_logits), *size)
    probabilities, is_positive = torch.empty(shape), torch.empty(shape, dtype=torch.bool)
    mean_probability = torch.empty(shape[0])
    square = (prediction.input_px, prediction.input_px)
    num_together = max(1, PIXELS_UPSAMPLED_TOGETHER // prediction.input_px**2)
    for start in range(0, shape[0], num_together):
        chunk = slice(start, start + num_together)
        logits = torch.tensor(prediction.mask_logits[None, chunk]).float()  # (1, queries, h, w)
        logits = functional.interpolate(logits, size=square, mode="bilinear", align_corners=False)
        logits = logits[..., : prediction.content_height, : prediction.content_width]
        logits = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)[0]
        is_positive[chunk] = logits > 0
        probabilities[chunk] = logits.sigmoid_()
        inside = is_positive[chunk].flatten(1).float()
        mean_probability[chunk] = (logits.flatten(1) * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1)
    return UpsampledMasks(probabilities=probabilities, is_positive=is_positive, mean_probability=mean_probability)


def panoptic_map(
    class_probabilities: Float[Tensor, "Q K1"], masks: UpsampledMasks, classes: ClassTable, config: InferenceConfig
) -> PanopticMap:
    """Return the panoptic map of one image.

    Confident queries (argmax is a class, score above the threshold) compete for pixels by score * mask probability. A
    query keeps the pixels that it won and that lie inside its own mask, unless it won too small a share of that mask.
    Queries of one stuff class make one segment. Pixels that nobody keeps are void.
    """
    labels = _query_choice(class_probabilities, classes).labels(config.seen_penalty)
    found = _candidates(class_probabilities, labels, classes, config)
    owners = _owner_map(found, masks, config)
    segments, segment_classes = _merged_segments(found, np.bincount(owners.ravel()), classes)
    return PanopticMap(label_map=segments[owners], classes=segment_classes)


def _query_choice(class_probabilities: Float[Tensor, "Q K1"], classes: ClassTable) -> Choice:
    """Return the candidates for the name of every query, should it be an object."""
    return choose(class_probabilities[:, :-1].T, classes.is_seen)


def _candidates(
    class_probabilities: Float[Tensor, "Q K1"], labels: Int64[Tensor, "Q"], classes: ClassTable, config: InferenceConfig
) -> Candidates:
    """Return the queries that are taken for objects, by the names that `labels` give them.

    A seen penalty changes what a query is called, argmax_c p(c) - penalty [c seen], but not whether it is an object,
    nor its score max_c p(c): with the penalty in the score, sure seen segments would fall below the threshold and leave
    holes instead of other names. So every penalty has the same segments, and from one to the next only names differ;
    but for a threshold of their own, which queries called unseen must exceed instead.
    """
    scores, best = class_probabilities.max(dim=1)
    threshold = torch.full_like(scores, config.object_score_threshold)
    if config.unseen_score_threshold is not None:
        threshold[~torch.tensor(classes.is_seen)[labels]] = config.unseen_score_threshold
    queries = torch.nonzero((best < classes.num_classes) & (scores > threshold)).flatten()
    return Candidates(queries=queries, labels=labels[queries], scores=scores[queries])


def _owner_map(found: Candidates, masks: UpsampledMasks, config: InferenceConfig) -> Int32[np.ndarray, "H W"]:
    """Return which candidate keeps each pixel: i + 1 for the i-th, 0 for none. Names play no part in it."""
    height, width = masks.probabilities.shape[1:]
    num_candidates = len(found.queries)
    if num_candidates == 0:
        return np.zeros((height, width), np.int32)
    probabilities = masks.probabilities.flatten(1)  # (Q, H*W)
    weights = found.scores.to(probabilities.dtype)[:, None]
    inside_area = torch.zeros(num_candidates, dtype=torch.int64)
    winners, insides = [], []
    for start in range(0, height * width, PIXELS_PER_CHUNK):
        chunk = probabilities[found.queries, start : start + PIXELS_PER_CHUNK]
        is_inside = chunk >= config.mask_threshold
        inside_area += is_inside.sum(dim=1)
        winners.append(first_largest(chunk * weights))
        insides.append(is_inside.gather(0, winners[-1][None])[0])
    winner, is_inside = torch.cat(winners), torch.cat(insides)
    won_area = torch.bincount(winner, minlength=num_candidates)
    share = won_area.double() / inside_area.clamp(min=1)
    value = torch.where(share >= config.overlap_threshold, torch.arange(1, num_candidates + 1), 0).int()
    return torch.where(is_inside, value[winner], 0).reshape(height, width).numpy()


def _merged_segments(
    found: Candidates, num_pixels: Int64[np.ndarray, "P"], classes: ClassTable
) -> tuple[Int32[np.ndarray, "S1"], Int64[np.ndarray, "N"]]:
    """Return each candidate's segment, counted from 1, and the class of each segment: stuff of one class is one.

    The first candidate is nobody, for void; whoever has no pixel is void, too. `num_pixels` may end early.
    """
    labels = found.labels.numpy()
    survivors = np.flatnonzero(num_pixels[1:])
    own = labels[survivors]
    keys = np.where(np.asarray(classes.is_thing)[own], classes.num_classes + np.arange(len(own)), own)
    _, first, segment = np.unique(keys, return_index=True, return_inverse=True)
    segments = np.zeros(len(labels) + 1, np.int32)
    segments[survivors + 1] = segment + 1
    return segments, own[first]


def semantic_map(
    class_probabilities: Float[Tensor, "Q K1"], masks: UpsampledMasks, classes: ClassTable, config: InferenceConfig
) -> Int64[np.ndarray, "H W"]:
    """Return the best class of every pixel: argmax_c sum_q p_q(c) sigma(m_q) - penalty [c seen], no-object left out."""
    if config.seen_penalty != 0:
        labels = _semantic_choice(class_probabilities, masks, classes).labels(config.seen_penalty)
    else:  # one candidate instead of two
        labels = torch.cat([first_largest(scores) for scores in _class_scores(class_probabilities, masks)])
    return labels.reshape(masks.probabilities.shape[1:]).numpy()


def _semantic_choice(class_probabilities: Float[Tensor, "Q K1"], masks: UpsampledMasks, classes: ClassTable) -> Choice:
    """Return the candidates of every pixel, row by row: what `semantic_map` chooses between under any penalty."""
    chunks = [choose(scores, classes.is_seen) for scores in _class_scores(class_probabilities, masks)]
    return Choice(
        seen=torch.cat([chunk.seen for chunk in chunks]),
        unseen=torch.cat([chunk.unseen for chunk in chunks]),
        lead=torch.cat([chunk.lead for chunk in chunks]),
    )


def instances(
    class_probabilities: Float[Tensor, "Q K1"], masks: UpsampledMasks, classes: ClassTable, config: InferenceConfig
) -> Instances:
    """Return the most probable (query, thing) pairs, scored class probability * mean probability inside the mask.

    A seen penalty is taken from the probability by which pairs are chosen, and from the score of those of seen classes:
    the ranks within a class stay, but more of the pairs are of unseen classes.
    """
    found = instance_rows(class_probabilities[None], masks, classes, config)
    return Instances(queries=found.queries[0], classes=found.classes[0], scores=found.scores[0])


def instance_rows(
    class_probabilities: Float[Tensor, "R Q K1"], masks: UpsampledMasks, classes: ClassTable, config: InferenceConfig
) -> Instances:
    """Return what `instances` finds for each of several rows."""
    things = np.flatnonzero(classes.is_thing)
    penalty = np.where(np.asarray(classes.is_seen)[things], config.seen_penalty, 0.0)
    probabilities = class_probabilities.numpy()[:, :, things].astype(np.float64)  # (R, Q, things)
    best = _first_smallest((penalty - probabilities).reshape(len(probabilities), -1), config.max_instances)
    queries, columns = best // max(len(things), 1), best % max(len(things), 1)
    mean_probability = masks.mean_probability.double().numpy()[queries]
    chosen = np.take_along_axis(probabilities.reshape(len(probabilities), -1), best, axis=1)
    return Instances(queries=queries, classes=things[columns], scores=chosen * mean_probability - penalty[columns])


def ground_truth_map(prediction: ImagePrediction, classes: ClassTable) -> PanopticMap:
    """Return the truth of an image as a panoptic map, for pictures; crowds keep their class.

    Raises:
        ValueError: if a segment's class is not in the table.
    """
    indices = np.array([segment.class_index for segment in prediction.segments], dtype=np.int64)
    if (indices >= classes.num_classes).any():
        raise ValueError(
            f"image {prediction.image_id}: class {indices.max()} is not in table {classes.name!r} "
            f"of {classes.num_classes} classes; were the predictions cached with another table?"
        )
    flat = np.zeros((prediction.height, prediction.width), dtype=np.int32)
    for layer in prediction.label_maps:  # of overlapping instances, the one of the last layer is on top
        np.copyto(flat, layer, where=layer > 0)
    return PanopticMap(label_map=flat, classes=indices)


def _first_smallest(values: Float64[np.ndarray, "R N"], number: int) -> Int64[np.ndarray, "R n"]:
    """Return where each row's smallest values are, in order, the first among equals first; most are never sorted."""
    if values.shape[1] <= number:
        return np.argsort(values, axis=1, kind="stable")
    last = np.partition(values, number - 1, axis=1)[:, number - 1 : number]
    is_less, is_last = values < last, values == last
    is_last &= np.cumsum(is_last, axis=1) <= number - is_less.sum(axis=1, keepdims=True)
    chosen = np.nonzero(is_less | is_last)[1].reshape(len(values), number)
    order = np.argsort(np.take_along_axis(values, chosen, axis=1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, axis=1)


def _class_scores(class_probabilities: Float[Tensor, "Q K1"], masks: UpsampledMasks) -> Iterator[Float[Tensor, "K n"]]:
    """Yield sum_q p_q(c) sigma(m_q) for some pixels after the other."""
    probabilities = masks.probabilities.flatten(1)  # (Q, H*W)
    weights = class_probabilities[:, :-1].to(probabilities.dtype).T.contiguous()  # (K, Q)
    for start in range(0, probabilities.shape[1], PIXELS_PER_CHUNK):
        yield weights @ probabilities[:, start : start + PIXELS_PER_CHUNK]
