"""One trial: settings in, score on classes held out as pseudo-unseen out. Cached vectors only: no image, no network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pading.classes import ClassTable
from pading.config import override
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.pseudo_unseen import pseudo_unseen_score

OBJECTIVE = "accuracy/hm"


@dataclass(frozen=True, kw_only=True)
class TrialInputs:
    """What all trials of a sweep share, as arrays that the object store hands out without a copy."""

    embeddings: np.ndarray  # float32 (N, D)
    labels: np.ndarray  # int64 (N,)
    image_ids: np.ndarray  # int64 (N,)
    text: np.ndarray  # float32 (K, E)
    head_weight: np.ndarray  # float32 (K+1, D)
    head_bias: np.ndarray  # float32 (K+1,)
    classes: ClassTable
    config: MethodConfig
    holdout_fraction: float
    seed: int


def run_trial(inputs: TrialInputs, settings: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Fit PADing with `settings` on the remaining seen classes and yield metrics; the last ones hold `OBJECTIVE`."""
    # torch wants to be able to write where it only reads; the store's arrays are read-only, so the vectors are copied.
    features = Features(torch.tensor(inputs.embeddings), torch.tensor(inputs.labels), torch.tensor(inputs.image_ids))
    head = LinearClassifier(torch.tensor(inputs.head_weight), torch.tensor(inputs.head_bias))
    config = override(inputs.config, settings)
    text = torch.tensor(inputs.text)
    yield from pseudo_unseen_score(
        "pading", config, features, text, inputs.classes, head, inputs.seed, fraction=inputs.holdout_fraction
    )
