"""What one setting does to the score, whatever the others were: the mean over the trials that share a value.

Scores of the same settings differ more between hold-outs than between settings, so that a hold-out's own height is
taken off first: r(t, h) = s(t, h) - mean over t' of s(t', h) + mean over all. Axes: T whole trials, H hold-outs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.stats import t as student

from pading.evaluate.sweeps.axes import Axis, axis_of
from pading.evaluate.sweeps.trials import Trial, Trials

MOST_BINS = 6
FEWEST_FREE = 8  # trials beyond the points, for a share of variance that is more than luck


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A whole trial."""

    place: float  # on the axis
    score: float
    trial: Trial


@dataclass(frozen=True, kw_only=True)
class EffectPoint:
    """The mean score at one value, or between two; the interval is NaN where nothing repeats."""

    label: str
    place: float  # on the axis
    mean: float
    low: float
    high: float
    num_trials: int


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The course of the score along one setting, and the trials that it is made of."""

    name: str
    axis: Axis
    points: tuple[EffectPoint, ...]
    dots: tuple[Dot, ...]
    share: float  # of the variance between trials that the points explain, 0 to 1; NaN where it cannot be told


def effects(trials: Trials) -> list[Effect]:
    """Return the effect of every setting that whole trials differ in, the one that explains most first."""
    found = [effect(trials, name) for name in trials.settings]
    kept = [one for one in found if len(one.points) > 1]
    return sorted(kept, key=lambda one: -one.share if math.isfinite(one.share) else 1.0)


def effect(trials: Trials, name: str) -> Effect:
    """Return the effect of one setting.

    Choices, and all values of a sweep of one setting alone, are points of their own; other numbers are put together,
    equally many trials to a point.
    Intervals are of 95 %: over the trials of a point by Student's t or, of a point with one trial, over its hold-outs.
    """
    held = [trial for trial in trials.whole if name in trial.settings]
    axis = axis_of(name, [trial.settings[name] for trial in held])
    places = np.array([axis.place(trial.settings[name]) for trial in held])
    scores = level_scores(trials)[[name in trial.settings for trial in trials.whole]]
    means = scores.mean(axis=1)
    groups = _groups(places, one_by_one=axis.kind == "choice" or len(trials.settings) == 1)
    points = []
    for members in groups:
        sample = means[members] if len(members) > 1 else scores[members[0]]
        mean, reach = float(means[members].mean()), _reach(sample)
        place = float(places[members].mean())
        label = spoken_range(axis, [held[at].settings[name] for at in members])
        points.append(
            EffectPoint(
                label=label, place=place, mean=mean, low=mean - reach, high=mean + reach, num_trials=len(members)
            )
        )
    dots = [
        Dot(place=float(place), score=float(mean), trial=trial)
        for place, mean, trial in zip(places, means, held, strict=True)
    ]
    return Effect(name=name, axis=axis, points=tuple(points), dots=tuple(dots), share=_share(means, groups))


def level_scores(trials: Trials) -> Float64[np.ndarray, "T H"]:
    """Return the scores of whole trials in percent, each hold-out brought to the mean of all; one column if none."""
    names = sorted({name for trial in trials.whole for name in trial.holdouts})
    rows = [[trial.holdouts[name] for name in names] or [trial.score or 0.0] for trial in trials.whole]
    scores = 100 * np.array(rows, dtype=np.float64)
    level: Float64[np.ndarray, "T H"] = scores - scores.mean(axis=0) + scores.mean()
    return level


def spoken_range(axis: Axis, values: Sequence[float | int | bool | str]) -> str:
    """Return what a point stands for: one value, or from where to where."""
    if axis.kind == "choice" or len(set(values)) == 1:
        return str(values[0]) if not isinstance(values[0], float) else f"{values[0]:.3g}"
    numbers = [float(value) for value in values]
    return f"{min(numbers):.3g} to {max(numbers):.3g}"


def _groups(places: Float64[np.ndarray, "T"], *, one_by_one: bool) -> list[list[int]]:
    """Return the trials of each point, along the axis."""
    order = np.argsort(places, kind="stable").tolist()
    if one_by_one:
        return [[at for at in order if places[at] == place] for place in np.unique(places)]
    bins = min(MOST_BINS, max(1, len(order) // 3))
    return [part.tolist() for part in np.array_split(np.array(order), bins)]


def _reach(sample: Float64[np.ndarray, "n"]) -> float:
    """Return half the width of the 95 % interval of a mean; NaN for a single value."""
    if len(sample) < 2:
        return math.nan
    return float(student.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample)))


def _share(means: Float64[np.ndarray, "T"], groups: Sequence[Sequence[int]]) -> float:
    """Return epsilon squared, 1 - [SS within / (T - k)] / [SS / (T - 1)]: not above zero on average by chance alone."""
    total = float(np.square(means - means.mean()).sum())
    free = len(means) - len(groups)
    if free < FEWEST_FREE or total == 0:
        return math.nan
    within = sum(float(np.square(means[list(part)] - means[list(part)].mean()).sum()) for part in groups)
    return max(0.0, 1 - (within / free) / (total / (len(means) - 1)))
