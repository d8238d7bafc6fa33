"""The class head that a segmenter was trained under, as the classifiers that methods start from.

Under a linear head there is nothing to do. A text head is a cosine classifier by itself, and the row `projection`;
methods that retrain a linear head start from one fitted on its features. Axes: K classes, E text width.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pading.classes import ClassTable
from pading.segmenter.class_heads import TextHead
from pading.zeroshot.classifier import CosineClassifier, LinearClassifier
from pading.zeroshot.confidence import with_confidence_of
from pading.zeroshot.features import Features
from pading.zeroshot.fit_classifier import ClassifierFitConfig, retrain_head
from pading.zeroshot.methods import finish

FIT = ClassifierFitConfig(steps=3000, match_confidence=False)
SEED = 0  # one head for all seeds of the methods that start from it, as a segmenter has one


def cosine_head(head: TextHead, text: Float[Tensor, "K E"]) -> CosineClassifier:
    """Return a text head as the classifier of any classes with a text, seen and unseen (ZegFormer, eq. 1).

    Raises:
        ValueError: if the texts are of another width than those it was trained with.
    """
    if text.shape[1] != head.text.shape[1]:
        raise ValueError(
            f"text embeddings of width {text.shape[1]} for a text head of width {head.text.shape[1]}: "
            "use the text model that the segmenter was trained with"
        )
    temperature = math.exp(-float(head.log_scale.detach()))
    return CosineClassifier(head.project.weight, head.project.bias, text, head.no_object, temperature)


def linear_head(head: nn.Linear | TextHead, features: Features, classes: ClassTable) -> LinearClassifier:
    """Return the linear head that methods retrain: the segmenter's own, or one fitted on the features of a text head.

    The fitted one learns from real features of seen classes alone, and is as sure of them as the text head is, on which
    the thresholds of inference rest.

    Raises:
        ValueError: if a feature has an unseen label, or there is none of a seen class.
    """
    if isinstance(head, nn.Linear):
        return LinearClassifier(head.weight, head.bias)
    num_outputs, width = classes.num_classes + 1, features.embeddings.shape[1]
    blank = LinearClassifier(torch.zeros(num_outputs, width), torch.zeros(num_outputs))
    nothing = features.where(torch.zeros(len(features), dtype=torch.bool))
    fitted = finish(retrain_head(FIT, features, nothing, classes, blank, SEED))
    objects = features.embeddings[features.labels != classes.no_object]
    return with_confidence_of(cosine_head(head, head.text[list(classes.seen)]), fitted, objects)
