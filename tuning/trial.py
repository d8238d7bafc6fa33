"""One trial: settings in, scores on classes held out as pseudo-unseen out. Cached vectors only, no image."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, get_args

from pading.classes import ClassTable
from pading.randomness import derive_seed
from pading.zeroshot.accuracy import query_accuracy
from pading.zeroshot.classifier import Classifier
from pading.zeroshot.diagnostics.held_out import held_out_discrepancies
from pading.zeroshot.features import Features
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import MethodConfig, finish, fit_method
from pading.zeroshot.pseudo_unseen import Problem, pseudo_unseen_problem
from pading.zeroshot.unseen_bias import area_under_curve
from tuning.space import Settings, applied

Objective = Literal["hm", "ausuc"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
DISCREPANCY = "mmd/"  # + name of a held-out class
SCORED_SHARE = 0.25  # of the images: never fitted on, in any trial


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialInputs:
    """What all trials of a sweep share.

    `leaked` are rows of truly unseen classes: with them every trial fits on all features and is scored on these rows.
    """

    cached: FitInputs
    config: MethodConfig
    hold_outs: tuple[ClassTable, ...]  # those that trials are judged on, then those that the winner is confirmed on
    seed: int
    device: str = "cpu"
    timeout_s: float = 0.0  # 0: none
    leaked: FitInputs | None = None

    @property
    def is_leaky(self) -> bool:
        """Whether scores are of classes that are unseen in earnest."""
        return self.leaked is not None


class Judged(NamedTuple):
    """A fitted classifier, with the rows and the classes that it is to be judged by."""

    classifier: Classifier
    rows: Features
    classes: ClassTable
    discrepancies: Mapping[str, float]  # of synthetic and real features of each held-out class; none if leaky

    def scores(self) -> dict[str, float]:
        """Return accuracy of seen and unseen classes, their harmonic mean, and the area under the trade-off curve."""
        area = area_under_curve(self.classifier, self.rows, self.classes)
        apart = {f"{DISCREPANCY}{name}": value for name, value in self.discrepancies.items()}
        return query_accuracy(self.classifier, self.rows, self.classes) | {metric_of("ausuc"): area} | apart


def metric_of(objective: Objective) -> str:
    """Return the metric that an objective is."""
    return f"accuracy/{objective}"


def run_trial(inputs: TrialInputs, settings: Settings, num_hold_outs: int) -> Iterator[dict[str, float]]:
    """Fit PADing with `settings`, once for each hold-out of seen classes; yield the scores on each.

    One hold-out says little: scores of the same settings differ by a tenth between hold-outs.

    Raises:
        ValueError: if a setting is no field, or settings contradict one another.
        TimeoutError: if the trial takes longer than it may.
    """
    deadline = time.monotonic() + inputs.timeout_s if inputs.timeout_s else float("inf")
    for number in range(num_hold_outs):
        yield judge(inputs, settings, number, deadline).scores()


def judge(inputs: TrialInputs, settings: Settings, number: int, deadline: float = float("inf")) -> Judged:
    """Fit with settings on the problem of one hold-out.

    Raises:
        ValueError: as `run_trial` does.
        TimeoutError: if it is not done before the deadline, a reading of the monotonic clock.
    """
    config, seed = applied(inputs.config, settings), derive_seed(inputs.seed, "hold-out", number)
    problem = problem_of(inputs, number)
    features, text, head = problem.inputs
    fit = fit_method("pading", config, features, text, problem.classes, head, seed)
    fitted = finish(fit, between=partial(_require_time, deadline, inputs.timeout_s))
    apart = {}
    if fitted.generator is not None and not inputs.is_leaky:
        apart = held_out_discrepancies(fitted.generator, problem.rows, text, problem.classes, seed)
    return Judged(fitted.classifier, problem.rows, problem.classes, apart)


def problem_of(inputs: TrialInputs, number: int) -> Problem:
    """Return what is fitted and judged on hold-out `number`.

    Raises:
        ValueError: if a cached feature has an unseen label.
    """
    cached, classes = inputs.cached.views().to(inputs.device), inputs.cached.classes
    if inputs.leaked is not None:
        return Problem(cached, inputs.leaked.views().to(inputs.device).features, classes)
    seed = derive_seed(inputs.seed, "hold-out", number)
    return pseudo_unseen_problem(cached, classes, inputs.hold_outs[number], SCORED_SHARE, seed)


def _require_time(deadline: float, timeout_s: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"the trial took longer than {timeout_s:g} s; give it more by --sweep.timeout-s")
