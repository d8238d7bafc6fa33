"""One trial: settings in, score on classes held out as pseudo-unseen out. Cached vectors only: no image, no network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pading.classes import ClassTable
from pading.config import override
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features, split_by_image
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.pseudo_unseen import hold_out_classes, pseudo_unseen_score

OBJECTIVE = "accuracy/hm"
SCORED_SHARE = 0.25  # of the images: never fitted on, in any trial


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
    reports: int
    seed: int


def run_trial(inputs: TrialInputs, settings: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Fit PADing with `settings` on the remaining seen classes; yield `reports` times metrics that hold `OBJECTIVE`."""
    # The store's arrays are read-only and torch wants to be able to write, so the vectors are copied.
    features = Features(torch.tensor(inputs.embeddings), torch.tensor(inputs.labels), torch.tensor(inputs.image_ids))
    config = override(inputs.config, settings)
    report_every = -(-config.generator.steps // inputs.reports)
    config = override(config, {"generator.report_every": report_every})
    fitted_on, scored_on = split_by_image(features, SCORED_SHARE, inputs.seed)
    yield from pseudo_unseen_score(
        "pading",
        config,
        fitted_on,
        scored_on,
        torch.tensor(inputs.text),
        inputs.classes,
        hold_out_classes(inputs.classes, inputs.holdout_fraction, inputs.seed),
        LinearClassifier(torch.tensor(inputs.head_weight), torch.tensor(inputs.head_bias)),
        inputs.seed,
    )
