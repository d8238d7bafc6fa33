"""A row of the results as a function of a cached image: what is scored, and how. Axes: Q queries, K classes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from pading.classes import ClassTable
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """Class probabilities of an image's queries, and the settings by which they become its outputs.

    Rows may read different parts of what is cached about an image, and may differ in thresholds or calibration alone.
    """

    name: str
    classify: Callable[[ImagePrediction], Float[Tensor, "Q K+1"]]
    inference: InferenceConfig = field(default_factory=InferenceConfig)

    def probabilities(self, image: ImagePrediction, classes: ClassTable) -> Float[Tensor, "Q K+1"]:
        """Return the probability of each query and class, no-object last.

        Raises:
            ValueError: if the function returns another shape, NaN, infinity or a negative value.
        """
        with torch.inference_mode():
            probabilities = self.classify(image)
        expected_shape = (len(image.query_embeddings), classes.num_classes + 1)
        if probabilities.shape != expected_shape:
            raise ValueError(
                f"{self.name} returned {tuple(probabilities.shape)} for image {image.image_id}, expected "
                f"{expected_shape}: a probability for each query and class, no-object last"
            )
        low, high = map(float, probabilities.aminmax())  # NaN where any is
        if not math.isfinite(low + high):
            raise ValueError(
                f"{self.name} returned probabilities of image {image.image_id} that are NaN or infinite; was it fitted?"
            )
        if low < 0:  # scores of pixels are bounded by sums of terms that are not
            raise ValueError(f"{self.name} returned negative probabilities of image {image.image_id}: apply softmax")
        return probabilities


def head_scorer(
    name: str, classifier: Callable[[Float[Tensor, "Q D"]], Float[Tensor, "Q K+1"]], inference: InferenceConfig
) -> Scorer:
    """Return the scorer that reads query embeddings alone: softmax of a classifier's logits."""
    return Scorer(
        name=name,
        classify=lambda image: classifier(torch.from_numpy(image.query_embeddings)).softmax(dim=1),
        inference=inference,
    )
