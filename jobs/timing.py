"""How long the parts of an optimiser step take, by the clock on the wall."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

Part = Literal["data_wait", "forward", "match", "loss", "backward", "optimizer", "checkpoint"]


@dataclass(frozen=True, kw_only=True)
class StepSeconds:
    """Seconds of one step; backward passes include their communication, the optimizer's part includes the clip."""

    data_wait: float = 0.0
    forward: float = 0.0
    match: float = 0.0
    loss: float = 0.0
    backward: float = 0.0
    optimizer: float = 0.0
    checkpoint: float = 0.0  # validation and saving, before the step


class Stopwatch:
    """Adds up seconds by part until a lap.

    A GPU works behind the process: unless `synchronised`, what is measured there is how long the work took to submit.
    """

    def __init__(self, *, synchronised: bool = False) -> None:
        self._synchronised = synchronised and torch.cuda.is_available()
        self._seconds: dict[Part, float] = {}
        self._started = 0.0

    def start(self) -> None:
        """Start the clock; parts do not nest."""
        self._started = self._now()

    def stop(self, part: Part) -> None:
        """Give the time since the start to a part."""
        self._seconds[part] = self._seconds.get(part, 0.0) + self._now() - self._started

    @contextlib.contextmanager
    def measuring(self, part: Part) -> Iterator[None]:
        """Give the time of a block to a part."""
        self.start()
        try:
            yield
        finally:
            self.stop(part)

    def watch(self, model: nn.Module) -> None:
        """Count every call of a model that builds a graph as forward."""
        model.register_forward_pre_hook(lambda *_: self.start() if torch.is_grad_enabled() else None)
        model.register_forward_hook(lambda *_: self.stop("forward") if torch.is_grad_enabled() else None)

    def lap(self) -> StepSeconds:
        """Return the sums and start over."""
        seconds, self._seconds = self._seconds, {}
        return StepSeconds(**seconds)

    def _now(self) -> float:
        if self._synchronised:
            torch.cuda.synchronize()
        return time.perf_counter()
