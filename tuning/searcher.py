"""Between Ray Tune and the journal: hands out the trials that are still to do, and writes down what ended."""

from collections.abc import Callable, Mapping
from typing import Any

from ray.tune.search import Searcher

from tuning.journal import Journal, TrialRecord
from tuning.proposals import Propose

NUMBER, SETTINGS = "number", "settings"  # of a trial's configuration
VALUE, SCORES, CPU_SECONDS, ERROR = "objective", "scores", "cpu_seconds", "error"  # of what it reports
DIED = "the worker of this trial died"


class JournalSearcher(Searcher):
    """Tune's searcher: every number from 0 that the journal lacks, each once, lowest first.

    With `window`, number n is handed out when all up to n - window have ended, and knows of these alone: then what is
    tried does not depend on which worker was quicker. Without, it knows of all that have ended.
    """

    def __init__(
        self,
        propose: Propose,
        journal: Journal,
        *,
        num_trials: int,
        num_hold_outs: int,
        window: int,
        on_end: Callable[[int], None],
    ) -> None:
        super().__init__(metric=VALUE, mode="max")
        self.propose, self.journal, self.window, self.on_end = propose, journal, window, on_end
        self.num_hold_outs = num_hold_outs
        self.waiting = [number for number in range(num_trials) if number not in journal.records]
        self.running: dict[str, tuple[int, dict[str, Any]]] = {}  # Tune's id -> number, settings
        self.broken: OSError | None = None  # what kept the journal from being written

    def suggest(self, trial_id: str) -> Any:
        """Return the configuration of the next trial, nothing while it has to wait, or that there is none."""
        if not self.waiting or self.broken is not None:
            return Searcher.FINISHED
        number, records = self.waiting[0], self.journal.records
        if self.window:
            ended = range(number - self.window + 1)
            if any(earlier not in records for earlier in ended):
                return None
            known = [records[earlier] for earlier in ended]
        else:
            known = list(records.values())
        settings = dict(self.propose(number, known))
        del self.waiting[0]
        self.running[trial_id] = number, settings
        return {NUMBER: number, SETTINGS: settings}

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Write down a trial that ended, however it did."""
        number, settings = self.running.pop(trial_id)
        result = result or {}
        message = str(result.get(ERROR) or (DIED if error else ""))
        scores = tuple(result.get(SCORES) or ())
        is_whole = len(scores) == self.num_hold_outs
        record = TrialRecord(
            number=number,
            settings=settings,
            state="failed" if message else "complete" if is_whole else "stopped",
            scores=scores,
            seconds=float(result.get("time_total_s", 0.0)),
            cpu_seconds=float(result.get(CPU_SECONDS, 0.0)),
            error=message,
        )
        try:
            self.journal.append(record)
        except OSError as broken:
            # Tune would bury it in a trace; the sweep raises it when the trials under way have ended.
            self.broken = broken
            return
        self.on_end(len(self.journal.records))

    def save(self, checkpoint_path: str) -> None:
        """Leave nothing: a sweep goes on from its journal."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing."""
