"""How far images chance to decide a score: images drawn again with replacement, the same ones for every classifier.

A variant is fitted with several seeds; a set of drawn images gives each seed a score, and the variant their mean. Two
variants are compared on the same images and the same seeds, so that what they share does not widen the interval.
Axes: R sets of drawn images, N images, K classes, S seeds, G groups: seen, unseen, harmonic mean.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from pading.classes import ClassTable

GROUPS = ("seen", "unseen", "hm")


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedScores:
    """Scores of one variant, seed by seed: on the images as they are, and on each set of drawn images; percent."""

    seeds: tuple[int, ...]
    estimates: Float64[np.ndarray, "S G"]
    replicates: Float64[np.ndarray, "S R G"]

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds {self.seeds}: give at least one, and each once")
        if len(self.estimates) != len(self.seeds) or len(self.replicates) != len(self.seeds):
            raise ValueError(
                f"{len(self.seeds)} seeds, {len(self.estimates)} estimates and {len(self.replicates)} replicates: "
                "give one of each for every seed"
            )

    def only(self, seeds: Sequence[int]) -> "SeedScores":
        """Return the scores of some of the seeds, in the order given."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return SeedScores(seeds=tuple(seeds), estimates=self.estimates[rows], replicates=self.replicates[rows])


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value, and the bounds between which it falls on 95 of 100 sets of images; NaN where there is nothing to say."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """First minus second in one group: the difference, the chance that it is positive, and in how many seeds it is."""

    difference: Interval
    deviation: float  # standard deviation of the difference over seeds; NaN for a single one
    probability_better: float  # over sets of images; ties count half
    seeds_better: int
    num_seeds: int


def draw_weights(num_images: int, num_sets: int, seed: int) -> Float64[np.ndarray, "R N"]:
    """Return how often each image occurs in each of some sets of as many images, drawn with replacement.

    Raises:
        ValueError: if there is no image, or no set is asked for.
    """
    if num_images < 1 or num_sets < 1:
        raise ValueError(f"{num_images} images and {num_sets} sets: both must be at least 1")
    draws = np.random.default_rng(seed).multinomial(num_images, np.full(num_images, 1 / num_images), size=num_sets)
    return draws.astype(np.float64)


def group_scores(quality: Float64[np.ndarray, "R K"], classes: ClassTable) -> Float64[np.ndarray, "R 3"]:
    """Return mean quality of seen and of unseen classes in percent, and the harmonic mean of the two means.

    Classes without a value are left out, as in `report.metrics`; NaN where a group has none left.

    Raises:
        ValueError: if the qualities are not one a class.
    """
    if quality.ndim != 2 or quality.shape[1] != classes.num_classes:
        raise ValueError(f"qualities {quality.shape} for {classes.num_classes} classes: pass one column a class")
    seen, unseen = (_present_mean(100 * quality[:, list(group)]) for group in (classes.seen, classes.unseen))
    product = seen * unseen
    return np.stack([seen, unseen, 2 * product / np.where(product == 0, 1.0, seen + unseen)], axis=1)


def interval(scores: SeedScores, group: str) -> Interval:
    """Return a variant's score in a group: the mean over seeds, with its 95 % percentile interval over images."""
    at = GROUPS.index(group)
    return _interval(scores.estimates[:, at], scores.replicates[:, :, at])


def compare(first: SeedScores, second: SeedScores, group: str) -> Comparison:
    """Compare two variants over the seeds that both have; their replicates must be of the same sets of images.

    Raises:
        ValueError: if they share no seed, or differ in the number of sets.
    """
    shared = [seed for seed in first.seeds if seed in second.seeds]
    if not shared:
        raise ValueError(f"seeds {first.seeds} and {second.seeds} have none in common; nothing can be paired")
    if first.replicates.shape[1] != second.replicates.shape[1]:
        raise ValueError(
            f"{first.replicates.shape[1]} and {second.replicates.shape[1]} sets of images: both must have seen the same"
        )
    first, second, at = first.only(shared), second.only(shared), GROUPS.index(group)
    estimates = first.estimates[:, at] - second.estimates[:, at]
    replicates = first.replicates[:, :, at] - second.replicates[:, :, at]
    pooled = replicates.mean(axis=0)
    pooled = pooled[~np.isnan(pooled)]
    wins = ((pooled > 0).mean() + 0.5 * (pooled == 0).mean()) if len(pooled) else np.nan
    return Comparison(
        difference=_interval(estimates, replicates),
        deviation=float(estimates.std(ddof=1)) if len(shared) > 1 else np.nan,
        probability_better=float(wins),
        seeds_better=int((estimates > 0).sum()),
        num_seeds=len(shared),
    )


def plain_comparison(first: SeedScores, second: SeedScores) -> dict[str, dict[str, float | int | None]]:
    """Return the comparison of two variants in every group as data for JSON; null stands where there is no value.

    Raises:
        ValueError: as `compare` does.
    """
    plain: dict[str, dict[str, float | int | None]] = {}
    for group in GROUPS:
        found = compare(first, second, group)
        plain[group] = {
            "difference": _finite(found.difference.value),
            "low": _finite(found.difference.low),
            "high": _finite(found.difference.high),
            "deviation": _finite(found.deviation),
            "probability_better": _finite(found.probability_better),
            "seeds_better": found.seeds_better,
            "num_seeds": found.num_seeds,
        }
    return plain


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interval(estimates: Float64[np.ndarray, "S"], replicates: Float64[np.ndarray, "S R"]) -> Interval:
    pooled = replicates.mean(axis=0)
    pooled = pooled[~np.isnan(pooled)]  # a small group of classes can be absent from a set of images
    low, high = np.quantile(pooled, [0.025, 0.975]) if len(pooled) else (np.nan, np.nan)
    return Interval(value=float(estimates.mean()), low=float(low), high=float(high))


def _present_mean(values: Float64[np.ndarray, "R k"]) -> Float64[np.ndarray, "R"]:
    is_present = ~np.isnan(values)
    total, number = np.where(is_present, values, 0.0).sum(axis=1), is_present.sum(axis=1)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
