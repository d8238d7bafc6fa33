"""What the pages of a sweep say beside their charts, in both forms."""

import math
from collections.abc import Sequence
from statistics import fmean, median, stdev

from scipy.stats import rankdata

from pading.evaluate.sweeps.effects import Effect
from pading.evaluate.sweeps.report import SweepReport
from pading.evaluate.sweeps.trials import Trials, short_names, spoken

TITLE = "Sweep"
HONEST = (
    "Scores are of seen classes held out as if they were unseen. They compare settings and predict no result: the "
    "segmenter was trained on these classes. No image, mask or feature of a truly unseen class has been looked at."
)
LEAKY = (
    "LEAKY: this sweep chose its settings on the truly unseen classes. Nothing that follows from it is a zero-shot "
    "result."
)
PARALLEL = (
    "A line is a trial, its colour and place on the last axis are its score. Thick: the chosen settings. Dashed: the "
    "default. Grey and dotted: stopped before the last hold-out. Red: failed."
)
EFFECTS = (
    "The score over one setting, whatever the others were; the height of each hold-out is taken off. Small dots: "
    "trials. Line: means, with 95 % intervals over trials or, of a value with one trial, over its hold-outs. "
    "Dashed: the default. All panels have one scale. The share is how much of the variance between trials the setting "
    "explains (epsilon squared); what a search draws more often, it knows better."
)
UNORDERED = "The order of these trials was not recorded; how the search went cannot be drawn."
FEATURES = (
    "Held-out classes of the first hold-out: real features of training images that no fit has seen (dots) and what the "
    "generators make of their names (crosses). MMD² is squared and unbiased; chance is the same between random halves "
    "of the real rows."
)
STATES = {"stopped": "stopped early", "failed": "failed"}


def facts(report: SweepReport) -> list[tuple[str, str]]:
    """Return what one must know of the sweep, by name."""
    trials = report.trials
    counts = {state: sum(trial.state == state for trial in trials.trials) for state in STATES}
    said = [f"{number} {STATES[state]}" for state, number in counts.items() if number]
    whole = max(len(trial.holdouts) for trial in trials.whole) if trials.whole else 0
    seconds = [trial.seconds for trial in trials.trials if trial.seconds is not None]
    lines = [
        *report.facts.items(),
        ("trials", f"{len(trials.trials)}" + (f" ({', '.join(said)})" if said else "")),
        (
            "score",
            f"{trials.objective}, in percent, mean of {whole} hold-outs"
            if whole
            else f"{trials.objective}, in percent",
        ),
    ]
    if seconds:
        lines.append(("cost", f"{sum(seconds):.0f} s of trials in all, {median(seconds):.3g} s the median trial"))
    return [*lines, ("chosen", settings_line(trials))]


def settings_line(trials: Trials) -> str:
    """Return the chosen settings."""
    names = short_names(trials.settings)
    return ", ".join(f"{names[name]} {spoken(trials.chosen.settings.get(name))}" for name in trials.settings)


def effect_title(effect: Effect) -> str:
    """Return the name of a setting and how much it explains."""
    name = short_names([effect.name])[effect.name]
    return f"{name}: {100 * effect.share:.0f} % of the variance" if math.isfinite(effect.share) else name


def noise_line(trials: Trials) -> str:
    """Return how far hold-outs scatter beside how far trials do, which says how much a sweep can tell."""
    several = [list(trial.holdouts.values()) for trial in trials.whole if len(trial.holdouts) > 1]
    if len(several) < 2:
        return ""
    scores = [100 * fmean(values) for values in several]
    middle = 100 * fmean([stdev(values) for values in several])
    return (
        f"Trials scatter by {stdev(scores):.1f} points (standard deviation); one trial scatters by {middle:.1f} over "
        "its hold-outs."
    )


def agreement_line(trials: Trials) -> str:
    """Return how the order of trials by discrepancy agrees with their order by score; empty where it is not known."""
    measured = [trial for trial in trials.whole if trial.discrepancies and trial.score is not None]
    if len(measured) < 4:
        return ""
    agreement = -_spearman(
        [fmean(trial.discrepancies.values()) for trial in measured], [trial.score or 0.0 for trial in measured]
    )
    if not math.isfinite(agreement):
        return ""
    return (
        f"A lower mean MMD² goes with a higher score by a rank correlation of {agreement:.2f} over {len(measured)} "
        "trials (1: always, 0: no matter)."
    )


def _spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the correlation of ranks; NaN if one side is constant."""
    one, other = rankdata(first), rankdata(second)  # ties share their mean rank
    one, other = one - one.mean(), other - other.mean()
    size = math.sqrt(float((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size else math.nan
