"""From class probabilities and masks to panoptic, semantic and instance output, as Mask2Former and PADing do it.

`upsampled_masks` is the costly part and knows no classifier: do it once per image, then ask each classifier's
probabilities. Axes: Q queries, K classes, h w mask pixels at the network's stride, H W pixels of the photo.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int32, Int64
from torch import Tensor
from torch.nn import functional

from pading.classes import ClassTable
from pading.evaluate.predictions import ImagePrediction

PIXELS_PER_CHUNK = 16384  # the class scores of one chunk stay in the processor's cache
PIXELS_UPSAMPLED_TOGETHER = 2**21  # likewise, of several queries' masks at the network's input size


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Thresholds of the three outputs; PADing's published values."""

    object_score_threshold: float = 0.8
    overlap_threshold: float = 0.8
    mask_threshold: float = 0.5
    max_instances: int = 100

    def __post_init__(self) -> None:
        for name in ("object_score_threshold", "overlap_threshold", "mask_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a probability or a ratio, between 0 and 1")
        if self.max_instances < 1:
            raise ValueError(f"max_instances is {self.max_instances}; keep at least one instance")


@dataclass(frozen=True, kw_only=True, eq=False)
class UpsampledMasks:
    """The masks of an image's queries at the size of the photo, and what every classifier asks of them."""

    probabilities: Float32[Tensor, "Q H W"]
    is_positive: Bool[Tensor, "Q H W"]  # logit > 0: the mask as an instance
    mean_probability: Float32[Tensor, "Q"]  # over the pixels where is_positive; 0 for an empty mask


@dataclass(frozen=True, kw_only=True, eq=False)
class PanopticMap:
    """A partition of an image: pixel 0 is void, i + 1 is a segment of classes[i]."""

    label_map: Int32[np.ndarray, "H W"]
    classes: Int64[np.ndarray, "S"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Instances:
    """Scored instances: each is the mask of a query under one class; a query may serve several."""

    queries: Int64[np.ndarray, "N"]
    classes: Int64[np.ndarray, "N"]
    scores: Float[np.ndarray, "N"]


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
    class_probabilities: Float[Tensor, "Q K1"],
    masks: UpsampledMasks,
    is_thing: Sequence[bool],
    config: InferenceConfig,
) -> PanopticMap:
    """Return the panoptic map of one image.

    Confident queries (argmax is a class, score above the threshold) compete for pixels by score * mask probability. A
    query keeps the pixels that it won and that lie inside its own mask, unless it won too small a share of that mask.
    Queries of one stuff class make one segment. Pixels that nobody keeps are void.
    """
    height, width = masks.probabilities.shape[1:]
    scores, labels = class_probabilities.max(dim=1)
    is_kept = (labels < len(is_thing)) & (scores > config.object_score_threshold)
    kept = torch.nonzero(is_kept).flatten()
    num_kept = len(kept)
    if num_kept == 0:
        return PanopticMap(label_map=np.zeros((height, width), np.int32), classes=np.zeros(0, np.int64))
    probabilities = masks.probabilities.flatten(1)  # (Q, H*W)
    weights = scores[kept].to(probabilities.dtype)[:, None]
    inside_area = torch.zeros(num_kept, dtype=torch.int64)
    winners, insides = [], []
    for start in range(0, height * width, PIXELS_PER_CHUNK):
        chunk = probabilities[kept, start : start + PIXELS_PER_CHUNK]
        is_inside = chunk >= config.mask_threshold
        inside_area += is_inside.sum(dim=1)
        winners.append(_first_largest(chunk * weights))
        insides.append(is_inside.gather(0, winners[-1][None])[0])
    winner, is_inside = torch.cat(winners), torch.cat(insides)
    won_area = torch.bincount(winner, minlength=num_kept)
    final_area = torch.bincount(winner[is_inside], minlength=num_kept)
    share = won_area.double() / inside_area.clamp(min=1)
    is_valid = ((final_area > 0) & (share >= config.overlap_threshold)).numpy()

    # Queries of one stuff class share a key; each thing query has a key of its own.
    classes = labels[kept].numpy()
    keys = np.where(np.asarray(is_thing)[classes], len(is_thing) + np.arange(num_kept), classes)
    _, first, segment = np.unique(keys[is_valid], return_index=True, return_inverse=True)
    value = np.zeros(num_kept, np.int32)
    value[is_valid] = segment + 1
    label_map = np.where(is_inside.numpy(), value[winner.numpy()], 0).astype(np.int32)
    return PanopticMap(label_map=label_map.reshape(height, width), classes=classes[is_valid][first])


def semantic_map(class_probabilities: Float[Tensor, "Q K1"], masks: UpsampledMasks) -> Int64[np.ndarray, "H W"]:
    """Return the best class of every pixel: argmax_c sum_q p_q(c) sigma(m_q), the no-object column dropped."""
    probabilities = masks.probabilities.flatten(1)  # (Q, H*W)
    weights = class_probabilities[:, :-1].to(probabilities.dtype).T.contiguous()  # (K, Q)
    chunks = [
        _first_largest(weights @ probabilities[:, start : start + PIXELS_PER_CHUNK])
        for start in range(0, probabilities.shape[1], PIXELS_PER_CHUNK)
    ]
    return torch.cat(chunks).reshape(masks.probabilities.shape[1:]).numpy()


def instances(
    class_probabilities: Float[Tensor, "Q K1"],
    masks: UpsampledMasks,
    is_thing: Sequence[bool],
    config: InferenceConfig,
) -> Instances:
    """Return the most probable (query, thing) pairs, scored class probability * mean probability inside the mask."""
    things = np.flatnonzero(is_thing)
    pairs = class_probabilities.double().numpy()[:, things].ravel()  # (Q * things,)
    best = np.argsort(-pairs, kind="stable")[: config.max_instances]
    queries = best // max(len(things), 1)
    scores = pairs[best] * masks.mean_probability.double().numpy()[queries]
    return Instances(queries=queries, classes=things[best % max(len(things), 1)], scores=scores)


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


def _first_largest(values: Float[Tensor, "R N"]) -> Int64[Tensor, "N"]:
    """Return the row of each column's largest value, the first among equals; an order faster than argmax over rows."""
    num_rows = len(values)
    countdown = torch.arange(num_rows, 0, -1, dtype=torch.uint8 if num_rows < 256 else torch.int32)[:, None]
    return num_rows - ((values >= values.amax(dim=0)) * countdown).amax(dim=0).long()
