"""One trial: settings in, score on classes held out as pseudo-unseen out. Cached vectors only: no image, no network."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pading.config import override
from pading.randomness import derive_seed
from pading.zeroshot.features import split_by_image
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.pseudo_unseen import hold_out_classes, pseudo_unseen_score

OBJECTIVE = "accuracy/hm"
HOLDOUT = "holdout/"  # + number: the objective on one hold-out
SCORED_SHARE = 0.25  # of the images: never fitted on, in any trial


@dataclass(frozen=True, kw_only=True)
class TrialInputs:
    """What all trials of a sweep share."""

    cached: FitInputs
    config: MethodConfig
    holdout_fraction: float
    holdouts: int
    seed: int


def run_trial(inputs: TrialInputs, settings: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Fit PADing with `settings`, once for each hold-out of seen classes; yield the mean scores so far after each.

    One hold-out says little: scores of the same settings differ by a tenth between hold-outs.
    """
    features, text, head = inputs.cached.tensors()
    classes = inputs.cached.classes
    config = override(inputs.config, settings)
    config = override(config, {"generator.report_every": config.generator.steps})  # a report costs a classifier fit
    scores: list[dict[str, float]] = []
    for number in range(inputs.holdouts):
        seed = derive_seed(inputs.seed, "hold-out", number)
        fitted_on, scored_on = split_by_image(features, SCORED_SHARE, seed)
        held_out = hold_out_classes(classes, inputs.holdout_fraction, seed)
        (metrics,) = pseudo_unseen_score("pading", config, fitted_on, scored_on, text, classes, held_out, head, seed)
        scores.append({name: value for name, value in metrics.items() if name.startswith("accuracy/")})
        means = {name: statistics.fmean(score[name] for score in scores) for name in scores[0]}
        yield means | {f"{HOLDOUT}{index}": score[OBJECTIVE] for index, score in enumerate(scores)}
