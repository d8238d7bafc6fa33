"""A sweep small enough for tests: a world of combinations, short fits, a few hold-outs."""

from typing import Any

from pading.config import override
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.pseudo_unseen import hold_out_in_turn
from tests.references.zeroshot_world import world_of_combinations
from tuning.journal import TrialRecord
from tuning.sweep import SweepPlan
from tuning.trial import TrialInputs

SHORT = {
    "generator.steps": 40,
    "generator.report_every": 10,
    "generator.learning_rate": 1e-2,
    "generator.structure_weight": 0.01,
    "classifier.steps": 40,
    "classifier.learning_rate": 2e-2,
    "classifier.unseen_weight": 20.0,
    "primitive.num_primitives": 8,
    "primitive.heads": 2,
}


def tiny_inputs(*, hold_outs: int = 2, seed: int = 0, timeout_s: float = 0.0, **changes: Any) -> TrialInputs:
    """Return inputs of trials that take a tenth of a second; `generator__steps=5` changes that setting."""
    world = world_of_combinations()
    settings = SHORT | {name.replace("__", "."): value for name, value in changes.items()}
    return TrialInputs(
        cached=FitInputs.of(world.train, world.text.numpy(), world.old_head, world.classes),
        config=override(MethodConfig(), settings),
        hold_outs=hold_out_in_turn(world.classes, 0.3, hold_outs, seed),
        seed=seed,
        timeout_s=timeout_s,
    )


def tiny_plan(space: dict[str, Any], **changes: Any) -> SweepPlan:
    """Return a plan of four random trials on two hold-outs, in order."""
    plain = {
        "search": "random",
        "schedule": "fifo",
        "objective": "hm",
        "trials": 4,
        "concurrent": 2,
        "hold_outs": 2,
        "cpus_per_trial": 0.5,
    }
    return SweepPlan(space=space, **(plain | changes))


def record(number: int, *values: float, state: str = "complete", **settings: Any) -> TrialRecord:
    """Return a record whose harmonic mean and area are these values, one a hold-out."""
    return TrialRecord(
        number=number,
        settings=settings,
        state=state,
        scores=tuple({"accuracy/hm": value, "accuracy/ausuc": value / 2} for value in values),
        seconds=1.5,
        error="" if state != "failed" else "RuntimeError: it broke",
    )
