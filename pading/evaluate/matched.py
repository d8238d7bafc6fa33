"""Validation queries with the class of the true segment that they cover: real features of seen and unseen classes."""

from collections.abc import Iterable

import numpy as np
import torch

from pading.evaluate.inference import upsampled_masks
from pading.evaluate.overlap import overlap
from pading.evaluate.predictions import ImagePrediction
from pading.zeroshot.features import Features, concatenate


def matched_queries(image: ImagePrediction, iou_threshold: float = 0.5) -> Features:
    """Return, for each true segment that is no crowd, its best query if their IoU is above the threshold.

    What classes a classifier gives is not asked. A query that is the best of two segments occurs twice.
    """
    overlaps = overlap(upsampled_masks(image).is_positive, image.label_maps, image.segments)
    queries = overlaps.iou.argmax(axis=0)
    best = overlaps.iou[queries, np.arange(len(queries))]
    kept = (best > iou_threshold) & ~overlaps.is_crowd
    labels = torch.from_numpy(overlaps.classes[kept])
    embeddings = torch.from_numpy(image.query_embeddings[queries[kept]])
    return Features(embeddings, labels, torch.full_like(labels, image.image_id))


def all_matched_queries(images: Iterable[ImagePrediction], iou_threshold: float = 0.5) -> Features:
    """Return the matched queries of many images, in order.

    Raises:
        ValueError: if there is no image.
    """
    return concatenate(matched_queries(image, iou_threshold) for image in images)
