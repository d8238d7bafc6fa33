"""One row's outputs on one image, counted against the truth; what all rows share of an image is worked out once.

Axes: Q queries, K classes, S candidates, M true segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.evaluate import boxes, instance, mask_recall, panoptic, semantic
from pading.evaluate.inference import (
    InferenceConfig,
    UpsampledMasks,
    candidates,
    instances,
    merged_segments,
    owner_map,
    query_choice,
    semantic_map,
    upsampled_masks,
)
from pading.evaluate.instance import IOU_THRESHOLDS, InstanceTally
from pading.evaluate.mask_recall import MaskRecallTally
from pading.evaluate.overlap import Overlap, overlap
from pading.evaluate.pairs import count_pairs
from pading.evaluate.panoptic import PanopticTally
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.semantic import SemanticTally


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedImage:
    """An image, its masks at the photo's size, and how these overlap the true segments: by masks, and by boxes."""

    image: ImagePrediction
    masks: UpsampledMasks
    overlaps: tuple[Overlap, Overlap]

    def mask_recall(self, num_classes: int) -> MaskRecallTally:
        """Return how many true segments some query covers."""
        return mask_recall.count_image(self.overlaps[0], num_classes)


def prepare(image: ImagePrediction, classes: ClassTable) -> PreparedImage:
    """Do what is costly about an image and knows no classifier.

    Raises:
        ValueError: if the image has a class that the table lacks.
    """
    require_known_classes(image, classes)
    masks = upsampled_masks(image)
    of_masks = overlap(masks.is_positive, image.label_maps, image.segments)
    of_boxes = boxes.box_overlap(
        boxes.mask_boxes(masks.is_positive.numpy()),
        boxes.segment_boxes(image.label_maps, len(image.segments)),
        of_masks,
    )
    return PreparedImage(image=image, masks=masks, overlaps=(of_masks, of_boxes))


def require_known_classes(image: ImagePrediction, classes: ClassTable) -> None:
    """Check that a class table holds every class of an image's truth.

    Raises:
        ValueError: if it does not.
    """
    if any(segment.class_index >= classes.num_classes for segment in image.segments):
        raise ValueError(
            f"image {image.image_id} has a class beyond the {classes.num_classes} of table {classes.name!r}; "
            "predictions and table belong to different splits"
        )


def count_panoptic(
    prepared: PreparedImage,
    probabilities: Float[Tensor, "Q K1"],
    classes: ClassTable,
    config: InferenceConfig,
    penalties: Sequence[float],
) -> list[PanopticTally]:
    """Return the tally of the panoptic map under each seen penalty, that of `config` left aside.

    Pixels are compared with the truth once for each set of candidates, mostly one; penalties that give the same names
    share the rest, too.
    """
    truth = prepared.image
    choice = query_choice(probabilities, classes)
    pixels: dict[bytes, np.ndarray] = {}
    tallies: dict[bytes, PanopticTally] = {}
    counted = []
    for penalty in penalties:
        labels = choice.labels(penalty)
        if (names := labels.numpy().tobytes()) not in tallies:
            found = candidates(probabilities, labels, classes, config)
            if (members := found.queries.numpy().tobytes()) not in pixels:
                owners = owner_map(found, prepared.masks, config)
                pixels[members] = count_pairs(owners, truth.label_map, len(found.queries) + 1, len(truth.segments) + 1)
            pairs = pixels[members]
            segments, segment_classes = merged_segments(found, pairs.sum(axis=1), classes)
            merged = np.zeros((len(segment_classes) + 1, pairs.shape[1]), dtype=np.int64)
            np.add.at(merged, segments, pairs)
            tallies[names] = panoptic.count_table(merged, segment_classes, truth.segments, classes.num_classes)
        counted.append(tallies[names])
    return counted


def count_semantic(
    prepared: PreparedImage, probabilities: Float[Tensor, "Q K1"], classes: ClassTable, config: InferenceConfig
) -> SemanticTally:
    """Return the tally of the semantic map."""
    truth, found = prepared.image, semantic_map(probabilities, prepared.masks, classes, config)
    return semantic.count_image(found, truth.label_map, truth.segments, classes.num_classes)


def count_instances(
    prepared: PreparedImage, probabilities: Float[Tensor, "Q K1"], classes: ClassTable, config: InferenceConfig
) -> InstanceTally:
    """Return what became of the instances found, at every IoU threshold of masks and then of boxes."""
    found = instances(probabilities, prepared.masks, classes, config)
    image_id = prepared.image.image_id
    return instance.count_image(image_id, found, prepared.overlaps, classes.is_thing, IOU_THRESHOLDS)
