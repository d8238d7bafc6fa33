"""How long a job waits for its tracker: one that is gone, hangs or crawls costs minutes, whatever the job sends."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

# MLflow's own defaults keep a job waiting for minutes on a server that is gone, print much, and report every use.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "PGCONNECT_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for each run
}


@dataclass
class Patience:
    """The seconds that a job may still spend: some to begin with, a few more for each run, none right after a failure.

    Runs that a healthy tracker takes cost a fraction of `per_run_s`; `longest_s` is for a single one.
    """

    start_s: float = 120.0
    per_run_s: float = 3.0
    longest_s: float = 120.0
    pause_s: float = 60.0
    spent_s: float = field(default=0.0, init=False)
    num_runs: int = field(default=0, init=False)
    silent_until: float = field(default=0.0, init=False)

    def for_next_run(self) -> float:
        """Return how long one more run may take; 0 or less if it should not be tried."""
        self.num_runs += 1
        if time.monotonic() < self.silent_until:
            return 0.0
        return min(self.start_s + self.per_run_s * self.num_runs - self.spent_s, self.longest_s)

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Count the time of what is done inside."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.spent_s += time.monotonic() - start

    def pause(self) -> None:
        """Try nothing for a while."""
        self.silent_until = time.monotonic() + self.pause_s


def within(seconds: float, work: Callable[[], Any]) -> Any:
    """Return what `work` returns; where it hangs, its thread is left behind and ends with the process.

    Raises:
        TimeoutError: if it takes longer than that.
        Exception: whatever `work` raises.
    """
    outcome: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, name="tracker", daemon=True).start()
    try:
        answer, error = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
    if error is not None:
        raise error
    return answer


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Give up on a dead server after seconds; what the user has set in the environment wins."""
    added = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
