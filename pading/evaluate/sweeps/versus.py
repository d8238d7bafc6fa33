"""The best trial against the default: on the hold-outs of the search and, fitted again, on fresh ones."""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.stats import t as student

from pading.evaluate.charts import Difference as Line
from pading.evaluate.sweeps.report import Comparison
from pading.evaluate.sweeps.trials import Trial, Trials

SEARCHED = "Best trial minus default, on the hold-outs of the search"
FRESH = "Best trial minus default, both fitted again on fresh hold-outs"
IMAGES = "The same on sets of drawn images"
GROUP_NAMES = {"hm": "harmonic mean", "unseen": "held-out classes", "seen": "other classes"}


def comparisons(trials: Trials, fresh: Comparison | None) -> list[tuple[str, list[Line]]]:
    """Return lines to draw in points of the score, under a title each; no title where there is nothing to compare."""
    found: list[tuple[str, list[Line]]] = []
    other = candidate(trials)
    if other is not None and trials.default is not None:
        first, second = other.holdouts, trials.default.holdouts
        names = [name for name in first if name in second]
        lines = paired([first[name] for name in names], [second[name] for name in names], "hold-out")
        found.append((SEARCHED, lines))
    if fresh is not None:
        found.append((FRESH, paired(fresh.candidate, fresh.current, "fresh hold-out")))
        groups = {words: fresh.groups[group] for group, words in GROUP_NAMES.items() if group in fresh.groups}
        found.append((IMAGES, [_line(words, one.difference, one.low, one.high) for words, one in groups.items()]))
    return [(title, lines) for title, lines in found if lines]


def candidate(trials: Trials) -> Trial | None:
    """Return the winner or, where the default stays, the trial that scored highest above it; None if there is none."""
    if trials.default is not trials.chosen:
        return trials.chosen
    best = trials.whole[0] if trials.whole else trials.chosen
    return None if best is trials.chosen else best


def paired(first: Sequence[float], second: Sequence[float], label: str) -> list[Line]:
    """Return the difference of each pair in points and, of several, their mean with its 95 % interval."""
    differences = [100 * (one - other) for one, other in zip(first, second, strict=True)]
    lines = [
        Line(label=f"{label} {number}", value=value, low=value, high=value, text=signed(value))
        for number, value in enumerate(differences, start=1)
    ]
    if len(differences) > 1:
        mean, free = fmean(differences), len(differences) - 1
        reach = float(student.ppf(0.975, free)) * stdev(differences) / math.sqrt(len(differences))
        lines.append(_line(f"mean of {len(differences)}", mean, mean - reach, mean + reach))
    return lines


def verdict(trials: Trials, fresh: Comparison | None) -> str:
    """Return in a sentence what is known of the best trial and the default."""
    if trials.default is None:
        return (
            "The default settings were no trial of this sweep: nothing says whether the winner is better than they are."
        )
    stays = trials.default is trials.chosen
    other = candidate(trials)
    if other is None:
        return "No trial scored higher than the default settings; they stay."
    ahead = signed(100 * ((other.score or 0.0) - (trials.default.score or 0.0)))
    if fresh is not None:
        words = "better than the default" if fresh.is_better else "not clearly better than the default"
        mean = signed(100 * (fmean(fresh.candidate) - fmean(fresh.current))) if fresh.candidate else "–"
        held = f"on {len(fresh.candidate)} fresh hold-outs that no trial was judged on ({mean} points)"
        return f"The best trial, {ahead} in the search, is {words} {held}{'; the default stays' * stays}."
    if stays:
        return f"The default settings stay: the best trial is {ahead} points above them, within the noise of hold-outs."
    return (
        f"The winner is {ahead} points above the default on the hold-outs that it was chosen by. It was not fitted "
        "again: the best of many is partly the luckiest."
    )


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def _line(label: str, value: float, low: float, high: float) -> Line:
    return Line(label=label, value=value, low=low, high=high, text=f"{signed(value)} [{signed(low)}, {signed(high)}]")
