"""Classifiers of query embeddings: a linear head, and a cosine head whose rows are class texts; saved and loaded.

Axes: N rows, K classes, D feature width, E text width. Column K is no-object.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

SCHEMA_VERSION = 1
TEMPERATURE = 0.01  # ZegFormer's code
WEIGHTS_NAME = "classifier.safetensors"
CONFIG_NAME = "classifier.json"


class LinearClassifier(nn.Module):
    """Logits W x + b: the head of PADing and of the segmenter itself."""

    def __init__(self, weight: Float[Tensor, "K+1 D"], bias: Float[Tensor, "K+1"]) -> None:
        super().__init__()
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"head of weight {tuple(weight.shape)} and bias {tuple(bias.shape)}: pass (K+1, D) and (K+1,)"
            )
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(bias.detach().clone())

    def forward(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N K+1"]:
        """Return class logits, no-object last."""
        return F.linear(features, self.weight, self.bias)


class CosineClassifier(nn.Module):
    """Logits cosine(W_sem x, text of class) / temperature, and no-object by a learned vector that is not normalised.

    Text rows are frozen and of unit length, so classes can be added by name. The direction W_sem x is normalised; the
    no-object "cosine" is therefore not bounded by 1 (ZegFormer's code).
    """

    text: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "E D"],
        bias: Float[Tensor, "E"],
        text: Float[Tensor, "K E"],
        no_object: Float[Tensor, "E"],
        temperature: float = TEMPERATURE,
    ) -> None:
        super().__init__()
        if weight.ndim != 2 or {len(weight), len(bias), text.shape[1], len(no_object)} != {len(weight)}:
            raise ValueError(
                f"cosine head of weight {tuple(weight.shape)}, bias {tuple(bias.shape)}, text {tuple(text.shape)} and "
                f"no-object {tuple(no_object.shape)}: all must share the text width"
            )
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}: it must be positive")
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(bias.detach().clone())
        self.no_object = nn.Parameter(no_object.detach().clone())
        self.register_buffer("text", F.normalize(text.detach(), dim=1))
        self.temperature = temperature

    def forward(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N K+1"]:
        """Return class logits, no-object last."""
        direction = F.normalize(F.linear(features, self.weight, self.bias), dim=1)
        return direction @ torch.cat([self.text, self.no_object.unsqueeze(0)]).T / self.temperature


Classifier = LinearClassifier | CosineClassifier


def of_classes(classifier: CosineClassifier, kept: Sequence[int]) -> CosineClassifier:
    """Return a cosine classifier of some of its classes, in the order given; no-object stays last."""
    text = classifier.text[list(kept)]
    return CosineClassifier(classifier.weight, classifier.bias, text, classifier.no_object, classifier.temperature)


def save_classifier(folder: Path, classifier: Classifier) -> None:
    """Write weights and description into a folder, which is made if absent; the description is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    description: dict[str, str | int | float] = {"schema": SCHEMA_VERSION, "kind": "linear"}
    if isinstance(classifier, CosineClassifier):
        description |= {"kind": "cosine", "temperature": classifier.temperature}
    unfinished = folder / f".{WEIGHTS_NAME}.unfinished"
    save_file({name: value.detach().cpu().contiguous() for name, value in classifier.state_dict().items()}, unfinished)
    unfinished.replace(folder / WEIGHTS_NAME)
    unfinished = folder / f".{CONFIG_NAME}.unfinished"
    unfinished.write_text(json.dumps(description, indent=1))
    unfinished.replace(folder / CONFIG_NAME)


def load_classifier(folder: Path) -> Classifier:
    """Read a classifier that `save_classifier` wrote, on the CPU.

    Raises:
        ValueError: if a file is corrupt, of another schema or kind, or lacks a tensor; the message names the file.
    """
    config_path, weights_path = folder / CONFIG_NAME, folder / WEIGHTS_NAME
    try:
        description = json.loads(config_path.read_text())
        schema, kind = description["schema"], description["kind"]
        temperature = description["temperature"] if kind == "cosine" else TEMPERATURE
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{config_path} does not describe a classifier ({error!r}): fit it again") from error
    if schema != SCHEMA_VERSION or kind not in ("linear", "cosine"):
        raise ValueError(f"{config_path}: schema {schema}, kind {kind!r}; this code reads schema {SCHEMA_VERSION}")
    try:
        tensors = load_file(weights_path)
        if kind == "linear":
            return LinearClassifier(tensors["weight"], tensors["bias"])
        return CosineClassifier(tensors["weight"], tensors["bias"], tensors["text"], tensors["no_object"], temperature)
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{weights_path} does not hold a {kind} classifier ({error!r}): fit it again") from error
