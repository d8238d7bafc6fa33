"""A setting as an axis of a chart: a list of choices, a scale of numbers, or a logarithmic one.

Nothing but the trials says how a setting was drawn: few whole numbers, or few values that come again and again, are
choices; positive numbers that reach from one to five times as much or more are on a logarithmic scale, which is how
they are searched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pading.evaluate.svg import scale
from pading.evaluate.sweeps.trials import Setting, spoken

MOST_CHOICES = 8
LOG_FROM = 5.0  # the largest value over the smallest

Kind = Literal["choice", "linear", "log"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The values of one setting between 0 and 1; `choices` is empty for a scale."""

    name: str
    kind: Kind
    choices: tuple[Setting, ...]
    low: float
    high: float
    ticks: tuple[tuple[str, float], ...]  # what stands at a place

    def place(self, value: Setting) -> float:
        """Return where a value lies, 0 at the low end and 1 at the high end."""
        if self.kind == "choice":
            return (self.choices.index(value) + 0.5) / len(self.choices)
        assert not isinstance(value, str)
        number = math.log10(value) if self.kind == "log" else float(value)
        return (number - self.low) / (self.high - self.low)


def axis_of(name: str, values: Sequence[Setting]) -> Axis:
    """Return the axis that holds the values of a setting.

    Raises:
        ValueError: if there is none.
    """
    if not values:
        raise ValueError(f"no trial has a value of {name!r}: there is nothing to draw")
    are_numbers = all(isinstance(value, float | int) and not isinstance(value, bool) for value in values)
    distinct = dict.fromkeys(values)
    comes_again = 2 * len(distinct) <= len(values) or all(isinstance(value, int) for value in distinct)
    if not are_numbers or len(distinct) == 1 or (len(distinct) <= MOST_CHOICES and comes_again):
        choices = tuple(sorted(distinct) if are_numbers else sorted(distinct, key=str))
        marks = tuple((spoken(value), (at + 0.5) / len(choices)) for at, value in enumerate(choices))
        return Axis(name=name, kind="choice", choices=choices, low=0.0, high=1.0, ticks=marks)
    numbers = [float(value) for value in values]
    if min(numbers) > 0 and max(numbers) >= LOG_FROM * min(numbers):
        low, high = math.log10(min(numbers)), math.log10(max(numbers))
        return _scale(name, "log", low, high, [math.log10(tick) for tick in _log_ticks(min(numbers), max(numbers))])
    low, high, ticks = scale(min(numbers), max(numbers))
    return _scale(name, "linear", low, high, ticks)


def _scale(name: str, kind: Kind, low: float, high: float, ticks: Sequence[float]) -> Axis:
    marks = [(f"{10**tick if kind == 'log' else tick:g}", (tick - low) / (high - low)) for tick in ticks]
    return Axis(name=name, kind=kind, choices=(), low=low, high=high, ticks=tuple(marks))


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5 times powers of ten within a range; powers of ten alone where those are many."""
    steps = (1, 2, 5) if high < 1000 * low else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [round(step * 10.0**power, 12) for power in powers for step in steps]
    return [tick for tick in found if low <= tick <= high]
