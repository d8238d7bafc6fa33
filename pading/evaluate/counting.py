"""What all rows share of an image, worked out once; and one row's outputs on it, counted against the truth.

Axes: Q queries, K classes.
"""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.evaluate import boxes, instance, mask_recall, panoptic, semantic
from pading.evaluate.inference import (
    InferenceConfig,
    UpsampledMasks,
    instances,
    panoptic_map,
    semantic_map,
    upsampled_masks,
)
from pading.evaluate.instance import IOU_THRESHOLDS, InstanceTally
from pading.evaluate.mask_recall import MaskRecallTally
from pading.evaluate.overlap import Overlap, overlap
from pading.evaluate.panoptic import PanopticTally
from pading.evaluate.pixel_groups import GroupedTruth, grouped_truth
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.semantic import SemanticTally


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedImage:
    """An image, its masks at the photo's size, and how these overlap the true segments: by masks, and by boxes."""

    image: ImagePrediction
    masks: UpsampledMasks
    overlaps: tuple[Overlap, Overlap]

    @cached_property
    def truth(self) -> GroupedTruth:
        """The truth in the order of the groups of pixels; there is none where instances overlap."""
        segment_classes = [segment.class_index for segment in self.image.segments]
        return grouped_truth(self.masks.groups, self.image.label_map, segment_classes)

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
    prepared: PreparedImage, probabilities: Float[Tensor, "Q K1"], classes: ClassTable, config: InferenceConfig
) -> PanopticTally:
    """Return the tally of the panoptic map."""
    truth, found = prepared.image, panoptic_map(probabilities, prepared.masks, classes, config)
    return panoptic.count_image(found.label_map, found.classes, truth.label_map, truth.segments, classes.num_classes)


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
