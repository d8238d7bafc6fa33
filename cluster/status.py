"""`status.json`: what a run is doing, written at every change, so that a submitted job can be followed and judged."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.secrets import masked
from cluster.storage import NO_ROOM, overwrite_json, write_json


@dataclass
class Status:
    """State of a run and of each of its stages; every change is on disk before the call returns."""

    path: Path
    preset: str
    state: str = "running"
    stages: list[dict[str, Any]] = field(default_factory=list)

    def plan(self, names: list[str]) -> None:
        """List the stages to come."""
        self.stages = [{"name": name, "state": "waiting", "seconds": 0.0, "output": None} for name in names]
        self._write()

    def update(
        self, name: str, state: str, *, since: float | None = None, output: Path | None = None, error: str | None = None
    ) -> None:
        """Record a stage's state: waiting, running, succeeded, skipped or failed."""
        stage = next(stage for stage in self.stages if stage["name"] == name)
        stage["state"] = state
        if since is not None:
            stage["seconds"] = round(time.monotonic() - since, 2)
        if output is not None:
            stage["output"] = str(output)
        if error is not None:
            stage["error"] = masked(error)
        self._write()

    def finish(self, state: str) -> None:
        """Record the run's end: succeeded or failed."""
        self.state = state
        self._write()

    def _write(self) -> None:
        plain = {"state": self.state, "preset": self.preset, "stages": self.stages}
        try:
            write_json(self.path, plain)
        except OSError as error:  # no room for a second file, and nobody must read "running" for ever
            if error.errno not in NO_ROOM or not self.path.is_file() or not overwrite_json(self.path, plain):
                raise
