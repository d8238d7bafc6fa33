"""What a search left, checked: its trials, the one that was chosen, the default that it was compared with.

A trial is scored on classes that were held out as if they were unseen, several times over; it is whole if it has a
score on every hold-out, and only whole trials compare.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pading.data.errors import DataError

TRIALS, BEST, COMPARISON, REPORT = "trials.json", "best.json", "comparison.json", "sweep.json"
HOLDOUT, DISCREPANCY = "holdout/", "mmd/"  # + number of the hold-out; + name of the class
REMEDY = "run the sweep again"

Setting = float | int | bool | str
State = Literal["chosen", "whole", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One point of the search; `number` is its place in the order of the search, None where that is not known."""

    rank: int  # from 1, the best
    settings: Mapping[str, Setting]
    score: float | None  # from 0 to 1
    metrics: Mapping[str, float]
    seconds: float | None
    error: str | None
    number: int | None
    is_whole: bool
    is_chosen: bool
    is_default: bool  # the settings as they were before the search

    @property
    def holdouts(self) -> dict[str, float]:
        """The score on each hold-out."""
        return {name: value for name, value in self.metrics.items() if name.startswith(HOLDOUT)}

    @property
    def discrepancies(self) -> dict[str, float]:
        """How far synthetic features of held-out classes were from real ones, by class."""
        return {
            name.removeprefix(DISCREPANCY): value
            for name, value in self.metrics.items()
            if name.startswith(DISCREPANCY)
        }

    @property
    def state(self) -> State:
        """What became of it; a trial that was stopped ended well, before its last hold-out."""
        if self.error is not None or self.score is None:
            return "failed"
        return "chosen" if self.is_chosen else "whole" if self.is_whole else "stopped"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """All trials of a search: whole ones, best first, then those that were stopped, then those that failed."""

    objective: str
    trials: tuple[Trial, ...]
    chosen: Trial
    default: Trial | None

    @property
    def whole(self) -> tuple[Trial, ...]:
        """Trials that were scored on every hold-out, best first."""
        return tuple(trial for trial in self.trials if trial.is_whole)

    @property
    def settings(self) -> tuple[str, ...]:
        """The names that the trials differ in, in the order of the search space; all names if they differ in none."""
        names = list(dict.fromkeys(name for trial in self.trials for name in trial.settings))
        varied = [name for name in names if len({str(trial.settings.get(name)) for trial in self.trials}) > 1]
        return tuple(varied or names)


def read_trials(path: Path, objective: str, trials: Any, best: Any, default: Mapping[str, Any] | None = None) -> Trials:
    """Check the records of a search; `path` is named in errors.

    The winner is the record with the settings of `best`; the default the one with those of `default`, if there is one.

    Raises:
        DataError: if a record lacks a field, a field has another type than it should, or no record is the winner's.
    """
    if not isinstance(trials, list) or not trials:
        raise DataError(str(path), "a list of trials is missing", REMEDY)
    records = [_Record.read(path, f"trial {at}", objective, entry) for at, entry in enumerate(trials, start=1)]
    num_holdouts = max((record.num_holdouts for record in records if record.is_scored), default=0)
    records.sort(key=lambda one: (not one.is_scored, one.num_holdouts < num_holdouts, -(one.score or 0.0)))
    winning = _settings(path, "the winner", best)
    chosen = _first_with(records, winning)
    start = _first_with(records, plain_settings(default)) if default else None
    if chosen is None:
        raise DataError(str(path), f"no trial with a score has the settings of the winner, {winning}", REMEDY)
    read = [
        Trial(
            **dataclasses.asdict(record),
            rank=rank,
            is_whole=record.is_scored and record.num_holdouts == num_holdouts,
            is_chosen=record is chosen,
            is_default=record is start,
        )
        for rank, record in enumerate(records, start=1)
    ]
    return Trials(
        objective=objective,
        trials=tuple(read),
        chosen=next(trial for trial in read if trial.is_chosen),
        default=next((trial for trial in read if trial.is_default), None),
    )


def spoken(value: Setting | None) -> str:
    """Return a setting as people write it."""
    if isinstance(value, bool) or not isinstance(value, float):
        return "–" if value is None else str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Setting]:
    """Return settings in which a list of numbers, such as the bandwidths, is a word of its own."""
    return {
        name: " ".join(map(spoken, value)) if isinstance(value, list | tuple) else value
        for name, value in settings.items()
    }


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return the shortest ends of dotted names that tell them apart."""
    short = {}
    for name in names:
        parts = name.split(".")
        ends = (".".join(parts[-length:]) for length in range(1, len(parts) + 1))
        short[name] = next(
            (end for end in ends if sum(other == end or other.endswith(f".{end}") for other in names) == 1), name
        )
    return short


@dataclass(frozen=True, kw_only=True, eq=False)
class _Record:
    """A trial as its own record has it."""

    settings: dict[str, Setting]
    score: float | None
    metrics: dict[str, float]
    seconds: float | None
    error: str | None
    number: int | None

    @property
    def is_scored(self) -> bool:
        return self.error is None and self.score is not None

    @property
    def num_holdouts(self) -> int:
        return sum(name.startswith(HOLDOUT) for name in self.metrics)

    @staticmethod
    def read(path: Path, where: str, objective: str, entry: Any) -> "_Record":
        settings = _settings(path, where, entry)
        metrics = entry.get("metrics", {})
        if not isinstance(metrics, dict):
            raise DataError(str(path), f"{where}: 'metrics' is {metrics!r}, expected an object", REMEDY)
        values = {name: _number(path, where, metrics, name) for name in metrics}
        error, number = entry.get("error"), entry.get("number")
        if not isinstance(error, str | None):
            raise DataError(str(path), f"{where}: 'error' is {error!r}, expected text or null", REMEDY)
        if number is not None and (type(number) is not int or number < 0):
            raise DataError(str(path), f"{where}: 'number' is {number!r}, expected its place in the search", REMEDY)
        return _Record(
            settings=settings,
            score=_number(path, where, entry, objective),
            metrics={name: value for name, value in values.items() if value is not None},
            seconds=_number(path, where, entry, "seconds"),
            error=error or None,
            number=number,
        )


def _first_with(records: Sequence[_Record], settings: Mapping[str, Setting]) -> _Record | None:
    """Return the best record that has these settings and a score."""
    return next((record for record in records if record.is_scored and record.settings == settings), None)


def _settings(path: Path, where: str, entry: Any) -> dict[str, Setting]:
    found = entry.get("settings") if isinstance(entry, dict) else None
    if not isinstance(found, dict) or not all(isinstance(value, float | int | str | list) for value in found.values()):
        what = f"{where}: 'settings' is {found!r}, expected names with numbers, words or lists"
        raise DataError(str(path), what, REMEDY)
    return plain_settings(found)


def _number(path: Path, where: str, entry: Mapping[str, Any], name: str) -> float | None:
    """Return a finite number; None for null, and for what is not finite, as of a fit that diverged."""
    value = entry.get(name)
    if name not in entry or type(value) not in (int, float, type(None)):
        raise DataError(str(path), f"{where}: {name!r} is {value!r}, expected a number or null", REMEDY)
    return float(value) if value is not None and math.isfinite(value) else None
