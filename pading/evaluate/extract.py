"""The frozen segmenter over decoded images: what the cache stores of training and of validation images.

Axes: B images, Q queries, K classes, D query-embedding width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from pading.data.sample import Sample
from pading.data.views.batch import Batch
from pading.data.views.jitter import letterbox_size
from pading.data.views.resample import letterbox_image
from pading.evaluate.predictions import ImagePrediction, as_half
from pading.randomness import generator_for
from pading.segmenter.matcher import LossWeights, match_final
from pading.segmenter.segmenter import Prediction, Segmenter
from pading.segmenter.targets import targets_from_batch
from pading.zeroshot.features import Features


@torch.inference_mode()
def matched_features(
    segmenter: Segmenter, batch: Batch, no_object_per_image: int, seed: int, weights: LossWeights | None = None
) -> Features:
    """Return the embeddings of matched queries with their classes, and of some unmatched ones as no-object (label K).

    Matched as in training, if `weights` are those of its loss.

    Which unmatched queries are kept depends on the seed and the image id alone, so batches may be cut anywhere.
    """
    prediction = segmenter(batch.images)[-1]
    targets = targets_from_batch(batch.label_maps, batch.classes, batch.image_ids)
    labels, _ = match_final(prediction, targets, weights)  # (B, Q)
    matched = labels != segmenter.num_classes
    order = torch.stack(
        [
            torch.rand(labels.shape[1], generator=generator_for(seed, "no-object", int(image_id)))
            for image_id in batch.image_ids
        ]
    ).to(labels.device)
    rank = order.masked_fill(matched, 2.0).argsort(dim=1).argsort(dim=1)
    kept = matched | (rank < no_object_per_image)
    return Features(
        prediction.query_embeddings[kept].float().cpu(),
        labels[kept].cpu(),
        batch.image_ids[:, None].expand_as(labels)[kept].cpu(),
    )


@torch.inference_mode()
def predict_samples(segmenter: Segmenter, samples: Sequence[Sample], input_px: int) -> list[ImagePrediction]:
    """Return what the segmenter says about each image, in order, with the truth beside it."""
    images = letterboxed(samples, input_px).to(segmenter.image_mean.device)
    return image_predictions(segmenter(images)[-1], samples, input_px)


def letterboxed(samples: Sequence[Sample], input_px: int) -> UInt8[Tensor, "B 3 S S"]:
    """Return samples as the network sees them."""
    return torch.from_numpy(np.stack([letterbox_image(sample.image, input_px) for sample in samples]))


def image_predictions(prediction: Prediction, samples: Sequence[Sample], input_px: int) -> list[ImagePrediction]:
    """Take the final prediction of a batch apart into its images, in order, with the truth beside each."""
    embeddings = prediction.query_embeddings.float().cpu().numpy()
    mask_logits = as_half(prediction.mask_logits.float().cpu().numpy())
    predictions = []
    for index, sample in enumerate(samples):
        _, height, width = sample.label_maps.shape
        content_height, content_width = letterbox_size(height, width, input_px)
        predictions.append(
            ImagePrediction(
                image_id=sample.image_id,
                height=height,
                width=width,
                content_height=content_height,
                content_width=content_width,
                input_px=input_px,
                query_embeddings=embeddings[index],
                mask_logits=mask_logits[index],
                label_maps=sample.label_maps,
                segments=sample.segments,
            )
        )
    return predictions
