"""What a training says of itself: losses, throughput and where the time goes, the mean over a few steps a line.

Lines belong to steps, not to processes: they travel in the checkpoint, so a resumed training neither lacks nor doubles
one.
"""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from jobs.timing import StepSeconds

HISTORY_FILE = "history.jsonl"
LOSS, SECONDS = "loss/", "seconds/"


class History:
    """The finished lines, and the sums of the line that is being written."""

    def __init__(self, batch_size: int) -> None:
        self.lines: list[dict[str, Any]] = []
        self._batch_size = batch_size  # images of a step, of all ranks
        self._restart()

    def add(self, losses: dict[str, Tensor], gradient_norm: Tensor, seconds: StepSeconds) -> None:
        """Count a step. Losses stay on their device until the line ends: reading them would wait for the GPU."""
        values = {**{LOSS + name: loss for name, loss in losses.items()}, "gradient_norm": gradient_norm}
        for name, value in values.items():
            self._values[name] = self._values.get(name, 0.0) + value.detach().float().to(losses["class"].device)
        for part, took_s in asdict(seconds).items():
            self._seconds[part] = self._seconds.get(part, 0.0) + took_s
        self._steps += 1

    def end_line(self, step: int, learning_rate: float) -> dict[str, Any]:
        """Close the line after `step` steps and return it; values are means over ranks, so every rank calls it."""
        names = sorted(self._values)
        values = mean_over_ranks(torch.stack([torch.as_tensor(self._values[name]) for name in names]) / self._steps)
        took_s = time.perf_counter() - self._start
        line = {
            "step": step,
            "learning_rate": learning_rate,
            **dict(zip(names, values.tolist(), strict=True)),
            "images_per_s": self._steps * self._batch_size / took_s,
            SECONDS + "step": took_s / self._steps,
            **{SECONDS + part: seconds / self._steps for part, seconds in self._seconds.items()},
        }
        self.lines.append(line)
        self._restart()
        return line

    @property
    def is_at_a_line_end(self) -> bool:
        """Whether no step has been counted since the last line."""
        return self._steps == 0

    def save(self, folder: Path) -> None:
        """Write the finished lines, one JSON object each."""
        (folder / HISTORY_FILE).write_text("".join(json.dumps(line) + "\n" for line in self.lines))

    def load(self, folder: Path) -> None:
        """Read the lines that `save` wrote.

        Raises:
            ValueError: if the file is missing or damaged.
        """
        path = folder / HISTORY_FILE
        try:
            self.lines = [json.loads(line) for line in path.read_text().splitlines()]
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} is missing or damaged ({error}); remove the checkpoint to start over") from error

    def _restart(self) -> None:
        self._values: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self._steps = 0
        self._start = time.perf_counter()


def mean_over_ranks(value: Tensor) -> Tensor:
    """Return a value averaged over the ranks; every rank calls it."""
    if dist.is_initialized():
        dist.all_reduce(value)
        value = value / dist.get_world_size()
    return value


def shares(line: dict[str, Any]) -> str:
    """Return which share of a step each part took, for people; what no part accounts for is left out."""
    whole = line[SECONDS + "step"]
    parts = ((name.removeprefix(SECONDS), value) for name, value in line.items() if name.startswith(SECONDS))
    return ", ".join(f"{name} {100 * value / whole:.0f} %" for name, value in parts if name != "step")
