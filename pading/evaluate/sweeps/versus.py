"""The winner against the default: hold-out by hold-out and, where it was fitted again, over seeds."""

import math
from collections.abc import Mapping
from statistics import fmean, stdev

from scipy.stats import t as student

from pading.evaluate.charts import Difference as Line
from pading.evaluate.charts import forest_chart
from pading.evaluate.sweeps.report import Difference
from pading.evaluate.sweeps.trials import Trials

GROUP_NAMES = {"hm": "harmonic mean", "unseen": "held-out classes", "seen": "other classes"}


def holdout_lines(trials: Trials) -> list[Line]:
    """Return the difference on each hold-out in points of the score, and their mean with its 95 % interval.

    Empty where the default won, or was no trial.
    """
    if trials.default is None or trials.default is trials.chosen:
        return []
    first, second = trials.chosen.holdouts, trials.default.holdouts
    names = [name for name in first if name in second]
    differences = [100 * (first[name] - second[name]) for name in names]
    lines = [
        Line(label=f"hold-out {number}", value=value, low=value, high=value, text=signed(value))
        for number, value in enumerate(differences, start=1)
    ]
    if len(differences) > 1:
        mean = fmean(differences)
        reach = float(student.ppf(0.975, len(names) - 1)) * stdev(differences) / math.sqrt(len(names))
        lines.append(_line("mean over hold-outs", mean, mean - reach, mean + reach))
    return lines


def seed_lines(comparison: Mapping[str, Difference]) -> list[Line]:
    """Return the differences of winner and default, both fitted again with several seeds."""
    return [
        _line(
            f"{words}, {found.seeds_better} of {found.num_seeds} seeds better", found.difference, found.low, found.high
        )
        for group, words in GROUP_NAMES.items()
        if (found := comparison.get(group)) is not None
    ]


def verdict(trials: Trials, comparison: Mapping[str, Difference]) -> str:
    """Return in a sentence what is known of winner and default."""
    if trials.default is None:
        return "The default settings were no trial of this sweep: nothing says whether the winner is better than them."
    if trials.default is trials.chosen:
        if trials.trials[0] is trials.chosen:
            return "No trial scored higher than the default settings; they stay."
        best = 100 * ((trials.trials[0].score or 0.0) - (trials.chosen.score or 0.0))
        return (
            f"The default settings stay: the best trial is {signed(best)} above them, which is within the noise of the "
            "hold-outs."
        )
    if (over_seeds := comparison.get("hm")) is not None:
        words = _words(over_seeds.low, over_seeds.high)
        return f"The winner is {words} the default, both fitted again with several seeds."
    lines = holdout_lines(trials)
    if len(lines) < 3:
        return "One hold-out tells nothing of chance: the winner may be no better than the default."
    return f"The winner is {_words(lines[-1].low, lines[-1].high)} the default over the hold-outs."


def charts(trials: Trials, comparison: Mapping[str, Difference]) -> list[str]:
    """Return the drawings of both; none where there is nothing to compare."""
    drawn = []
    if lines := holdout_lines(trials):
        drawn.append(forest_chart("Winner minus default on the same hold-outs, points of the score", lines))
    if lines := seed_lines(comparison):
        drawn.append(forest_chart("Winner minus default, fitted again with several seeds", lines))
    return drawn


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _line(label: str, value: float, low: float, high: float) -> Line:
    return Line(label=label, value=value, low=low, high=high, text=f"{signed(value)} [{signed(low)}, {signed(high)}]")


def _words(low: float, high: float) -> str:
    if low > 0:
        return "better than"
    return "worse than" if high < 0 else "not clearly better than"
