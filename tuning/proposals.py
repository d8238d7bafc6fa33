"""Which settings trial number n has: a function of the space, the seed, n and what is known of earlier trials.

Trial 0 has the settings as they are. Nothing else is remembered, so a search that was killed proposes what it would
have proposed.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import optuna

from pading.randomness import derive_seed
from tuning.journal import TrialRecord
from tuning.space import Settings, Space, grid, grid_size

Search = Literal["auto", "tpe", "random", "grid"]
Propose = Callable[[int, Sequence[TrialRecord]], Settings]  # number, what is known in the order it became known

STARTUP_TRIALS = 10  # drawn at random before the tree-structured Parzen estimator has enough to learn from


def resolve_search(search: Search, space: Space, trials: int) -> Search:
    """Return the search that `auto` stands for: a grid where the space has no more points than there are trials."""
    if search != "auto":
        return search
    size = grid_size(space)
    return "grid" if size is not None and size <= trials else "tpe"


def points_of_grid(space: Space, start: Settings) -> list[Settings]:
    """Return the settings as they are, then every other point of the grid.

    Raises:
        ValueError: if a dimension of the space is a range, or there are too many points.
    """
    return [start, *(point for point in grid(space) if point != start)]


def proposer(search: Search, space: Space, start: Settings, objective: str, seed: int) -> Propose:
    """Return the function that says what each trial is to try.

    Raises:
        ValueError: as `points_of_grid` does.
    """
    if search == "grid":
        points = points_of_grid(space, start)
        return lambda number, known: points[number]
    if search == "random":
        return lambda number, known: start if number == 0 else _draw(space, seed, number)
    learner = _Tpe(space, objective, seed)
    return lambda number, known: start if number == 0 else learner.propose(number, known)


def _draw(space: Space, seed: int, number: int) -> Settings:
    shares = np.random.default_rng(derive_seed(seed, "random trial", number)).random(len(space))
    return {name: dimension.at(float(share)) for (name, dimension), share in zip(space.items(), shares, strict=True)}


class _Tpe:
    """Optuna's tree-structured Parzen estimator, seeded anew for each proposal: nothing is left of earlier ones."""

    def __init__(self, space: Space, objective: str, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space, self.objective, self.seed = space, objective, seed
        self.distributions = {name: dimension.distribution() for name, dimension in space.items()}
        self.learnt: dict[int, optuna.trial.FrozenTrial | None] = {}  # of a record, by its number

    def propose(self, number: int, known: Sequence[TrialRecord]) -> Settings:
        for record in known:
            if record.number not in self.learnt:
                self.learnt[record.number] = self._lesson(record)
        sampler = optuna.samplers.TPESampler(
            seed=derive_seed(self.seed, "tpe", number) % 2**32, n_startup_trials=STARTUP_TRIALS
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        lessons = (self.learnt[record.number] for record in known)
        study.add_trials([lesson for lesson in lessons if lesson is not None])
        drawn = study.ask(self.distributions).params
        return {name: dimension.from_drawn(drawn[name]) for name, dimension in self.space.items()}

    def _lesson(self, record: TrialRecord) -> optuna.trial.FrozenTrial | None:
        """A trial that was stopped says how far it came; what failed, and settings outside the space, say nothing."""
        if record.state == "failed":
            return None
        try:
            params = {name: dimension.to_drawn(record.settings[name]) for name, dimension in self.space.items()}
        except ValueError:
            return None
        values = [score[self.objective] for score in record.scores]
        is_complete = record.state == "complete"
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE if is_complete else optuna.trial.TrialState.PRUNED,
            value=statistics.fmean(values) if is_complete else None,
            params=params,
            distributions=self.distributions,
            intermediate_values={place: statistics.fmean(values[:place]) for place in range(1, len(values) + 1)},
        )
