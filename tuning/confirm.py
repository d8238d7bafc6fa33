"""Whether settings are better than others: both fitted again, on hold-outs and with seeds that no search has seen.

The best of many trials is partly the luckiest, on the very hold-outs that it was chosen by. So it has to win once more
where luck does not carry over. Each pair is one fresh hold-out with a seed of its own; both sides share both.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from pading.evaluate.bootstrap import GROUPS, SeedScores, plain_comparison
from pading.evaluate.query_scores import accuracy_estimates, class_counts
from pading.randomness import derive_seed
from tuning.space import Settings
from tuning.trial import Objective, TrialInputs, judge, metric_of

RESAMPLES = 500
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Fresh:
    """Scores of one fit on one fresh hold-out: by metric, and as `bootstrap.SeedScores` takes them."""

    scores: dict[str, float]
    estimates: np.ndarray  # (3,)
    replicates: np.ndarray  # (R, 3)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A candidate less the settings as they are, over pairs; `low` is the lower end of a one-sided 95 % interval."""

    objective: Objective
    candidate: tuple[float, ...]
    current: tuple[float, ...]
    difference: float
    low: float
    by_images: Mapping[str, Any]  # the same difference on drawn images, by group; see `bootstrap.plain_comparison`

    @property
    def is_better(self) -> bool:
        """Whether the candidate won beyond what pairs vary by and, of harmonic means, beyond what images do."""
        low = self.by_images["hm"]["low"] if self.objective == "hm" else None
        return self.low > 0 and (low is None or low > 0)

    def to_plain(self) -> dict[str, Any]:
        """Return the verdict as data for JSON."""
        return {
            "objective": self.objective,
            "is_better": self.is_better,
            "difference": self.difference,
            "low": self.low,
            "candidate": list(self.candidate),
            "current": list(self.current),
            "by_images": dict(self.by_images),
        }


def fresh_scores(inputs: TrialInputs, settings: Settings, number: int) -> Fresh:
    """Fit settings on hold-out `number` and return the scores.

    Raises:
        ValueError: as `run_trial` does.
    """
    judged = judge(inputs, settings, number)
    seed = derive_seed(inputs.seed, "confirm", number)
    counts = class_counts(judged.classifier, judged.rows, judged.classes)
    estimates, replicates = accuracy_estimates(*counts, judged.classes, RESAMPLES, seed)
    return Fresh(scores=judged.scores(), estimates=estimates, replicates=replicates)


def verdict(candidate: Sequence[Fresh], current: Sequence[Fresh], objective: Objective) -> Verdict:
    """Compare two settings over the same fresh hold-outs.

    Raises:
        ValueError: if there are fewer than two pairs, or one side lacks one.
    """
    if len(candidate) != len(current) or len(candidate) < 2:
        raise ValueError(f"{len(candidate)} and {len(current)} fresh fits: compare at least two pairs")
    metric = metric_of(objective)
    first, second = (tuple(fresh.scores[metric] for fresh in side) for side in (candidate, current))
    differences = [one - other for one, other in zip(first, second, strict=True)]
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    times = float(scipy.stats.t.ppf(CONFIDENCE, len(differences) - 1))
    by_images = plain_comparison(_seed_scores(candidate), _seed_scores(current))
    return Verdict(
        objective=objective,
        candidate=first,
        current=second,
        difference=mean,
        low=mean - times * error,
        by_images={group: by_images[group] for group in GROUPS},
    )


def _seed_scores(side: Sequence[Fresh]) -> SeedScores:
    return SeedScores(
        seeds=tuple(range(len(side))),
        estimates=np.stack([fresh.estimates for fresh in side]),
        replicates=np.stack([fresh.replicates for fresh in side]),
    )
