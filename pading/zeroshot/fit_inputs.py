"""What every fit on a cache reads, as arrays that an object store hands out without a copy."""

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from pading.classes import ClassTable
from pading.zeroshot.classifier import CosineClassifier, LinearClassifier
from pading.zeroshot.features import Features


class FitTensors(NamedTuple):
    """The same as tensors."""

    features: Features
    text: Float[Tensor, "K E"]
    head: LinearClassifier  # the segmenter's, or of a text head its stand-in

    def to(self, device: torch.device | str) -> "FitTensors":
        """Return the tensors on a device, those that are there already as they are."""
        features = Features(*(part.to(device) for part in vars(self.features).values()))
        return FitTensors(features, self.text.to(device), self.head.to(device))


@dataclass(frozen=True, kw_only=True, eq=False)
class FitInputs:
    """Cached training features with labels and images, class text, the segmenter's head and the class table.

    A segmenter with a text head has its own `projection`; its linear head is the one of `segmenter_head.linear_head`.
    """

    embeddings: Float32[np.ndarray, "N D"]
    labels: Int64[np.ndarray, "N"]
    image_ids: Int64[np.ndarray, "N"]
    text: Float32[np.ndarray, "K E"]
    head_weight: Float32[np.ndarray, "K+1 D"]
    head_bias: Float32[np.ndarray, "K+1"]
    classes: ClassTable
    projection: CosineClassifier | None = None

    @staticmethod
    def of(
        features: Features,
        text: Float32[np.ndarray, "K E"],
        head: LinearClassifier,
        classes: ClassTable,
        projection: CosineClassifier | None = None,
    ) -> "FitInputs":
        """Return the inputs as arrays; `head` is anything with a weight and a bias."""
        return FitInputs(
            embeddings=features.embeddings.numpy(),
            labels=features.labels.numpy(),
            image_ids=features.image_ids.numpy(),
            text=text,
            head_weight=head.weight.detach().numpy(),
            head_bias=head.bias.detach().numpy(),
            classes=classes,
            projection=projection,
        )

    def tensors(self) -> FitTensors:
        """Return copies: the store's arrays are read-only, and torch wants to be able to write."""
        return FitTensors(
            Features(torch.tensor(self.embeddings), torch.tensor(self.labels), torch.tensor(self.image_ids)),
            torch.tensor(self.text),
            LinearClassifier(torch.tensor(self.head_weight), torch.tensor(self.head_bias)),
        )

    def views(self) -> FitTensors:
        """Return the arrays themselves as tensors, without a copy: for whoever only reads, as every fit does."""
        features = Features(_view(self.embeddings), _view(self.labels), _view(self.image_ids))
        return FitTensors(
            features,
            _view(self.text),
            LinearClassifier(torch.tensor(self.head_weight), torch.tensor(self.head_bias)),
        )


def _view(array: np.ndarray[Any, Any]) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch knows no tensor that cannot be written to
        return torch.from_numpy(array)
