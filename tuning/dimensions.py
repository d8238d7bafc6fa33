"""What a setting may be: some values, or a range on a plain or a logarithmic scale."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna.distributions as distributions

Value = Any  # what a field of a configuration may hold: numbers, texts, tuples of them


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of some values. Numbers in order are neighbours to a search that learns; other values are strangers."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values or any(value in self.values[:place] for place, value in enumerate(self.values)):
            raise ValueError(f"a choice of {list(self.values)}: give at least one value, and each once")

    def at(self, share: float) -> Value:
        """Return the value that stands at a share of the way, inside [0, 1)."""
        return self.values[int(share * len(self.values))]

    def ends(self) -> tuple[Value, ...]:
        """Return values such that a field that takes them takes all."""
        return self.values

    def distribution(self) -> distributions.BaseDistribution:
        """Return what a sampler draws from: places, not values."""
        places = range(len(self.values))
        numbers = [value for value in self.values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        if len(numbers) == len(self.values) and numbers == sorted(numbers):
            return distributions.IntDistribution(0, len(places) - 1)
        return distributions.CategoricalDistribution(tuple(places))

    def to_drawn(self, value: Value) -> int:
        """Return what a sampler would have drawn.

        Raises:
            ValueError: if it could not.
        """
        return self.values.index(value)

    def from_drawn(self, drawn: Any) -> Value:
        """Return the value of what a sampler drew."""
        return self.values[drawn]


@dataclass(frozen=True, kw_only=True)
class Range:
    """All numbers between two, both included."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a range from {self.low} to {self.high}: give two numbers, the smaller one first")
        if self.is_log and self.low <= 0:
            raise ValueError(f"a logarithmic range from {self.low}: it must begin above 0")
        if self.is_whole and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ValueError(f"whole numbers from {self.low} to {self.high}: give whole ends")

    def at(self, share: float) -> Value:
        """Return the number that stands at a share of the way, inside [0, 1)."""
        low, high = (self.low, self.high + 1) if self.is_whole else (self.low, self.high)
        number = low * (high / low) ** share if self.is_log else low + share * (high - low)
        return min(math.floor(number), int(self.high)) if self.is_whole else min(number, self.high)

    def ends(self) -> tuple[Value, ...]:
        """Return values such that a field that takes them takes all."""
        return (int(self.low), int(self.high)) if self.is_whole else (float(self.low), float(self.high))

    def distribution(self) -> distributions.BaseDistribution:
        """Return what a sampler draws from."""
        if self.is_whole:
            return distributions.IntDistribution(int(self.low), int(self.high), log=self.is_log)
        return distributions.FloatDistribution(self.low, self.high, log=self.is_log)

    def to_drawn(self, value: Value) -> Value:
        """Return what a sampler would have drawn.

        Raises:
            ValueError: if it could not.
        """
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not between {self.low} and {self.high}")
        return value

    def from_drawn(self, drawn: Any) -> Value:
        """Return the value of what a sampler drew."""
        return drawn


Dimension = Choice | Range
RANGES: dict[str, tuple[bool, bool]] = {  # word -> is_log, is_whole
    "uniform": (False, False),
    "log": (True, False),
    "whole": (False, True),
    "log-whole": (True, True),
}


def to_plain(dimension: Dimension) -> dict[str, list[Value]]:
    """Return a dimension as it is written in JSON: `{"choice": [50, 100]}`, `{"log": [0.03, 0.5]}`."""
    if isinstance(dimension, Choice):
        return {"choice": [list(value) if isinstance(value, tuple) else value for value in dimension.values]}
    (word,) = (word for word, kind in RANGES.items() if kind == (dimension.is_log, dimension.is_whole))
    return {word: list(dimension.ends())}


def from_plain(plain: Any) -> Dimension:
    """Read what `to_plain` wrote.

    Raises:
        ValueError: if it is no dimension.
    """
    if not isinstance(plain, Mapping) or len(plain) != 1:
        raise ValueError(f'{plain!r} is no dimension; give {{"choice": [...]}} or {{"log": [LOW, HIGH]}}')
    ((word, values),) = plain.items()
    if word != "choice" and word not in RANGES:
        raise ValueError(f"a dimension {word!r}: choose one of choice, {', '.join(RANGES)}")
    if not isinstance(values, list):
        raise ValueError(f"{word} of {values!r}: give a list")
    if word == "choice":
        return Choice(values=tuple(tuple(value) if isinstance(value, list) else value for value in values))
    if len(values) != 2 or any(isinstance(end, bool) or not isinstance(end, (int, float)) for end in values):
        raise ValueError(f"{word} of {values!r}: give two numbers, [LOW, HIGH]")
    is_log, is_whole = RANGES[word]
    return Range(low=values[0], high=values[1], is_log=is_log, is_whole=is_whole)
