"""What a sweep has found so far: one line of JSON for each trial that ended, written before anything else is told.

A sweep that was killed goes on from this file alone: every number is there once or not at all. Nothing of it is code,
as Ray Tune's own memory is, which is pickled.
"""

import json
import os
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pading.config import from_plain, to_plain
from pading.data.errors import DataError

State = Literal["complete", "stopped", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial that ended: judged on all hold-outs, stopped before the last because others were better, or failed."""

    number: int
    settings: dict[str, Any]
    state: State
    scores: tuple[dict[str, float], ...]  # one for each hold-out, by metric
    seconds: float
    cpu_seconds: float = 0.0  # of the trial's own thread
    error: str = ""

    def mean(self, metric: str) -> float | None:
        """Return the mean of a metric over the hold-outs; None if there is none."""
        return statistics.fmean(score[metric] for score in self.scores) if self.scores else None


class Journal:
    """The file, and the records in it by number."""

    def __init__(self, path: Path) -> None:
        """Open a journal, a new one where there is no file; a last line that was cut off by a kill is forgotten.

        Raises:
            DataError: if a line is no record, or a number is there twice.
        """
        self.path = path
        self.records: dict[int, TrialRecord] = {}
        whole = path.read_bytes() if path.is_file() else b""
        kept = whole[: whole.rfind(b"\n") + 1]
        if len(kept) < len(whole):
            os.truncate(path, len(kept))
        for place, line in enumerate(kept.splitlines(), start=1):
            self._keep(_record_of(line, f"{path}, line {place}"), f"{path}, line {place}")

    def append(self, record: TrialRecord) -> None:
        """Write a record to the disk, and only then know it.

        Raises:
            OSError: if the disk does not take it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            begin = file.tell()
            try:
                file.write(json.dumps(to_plain_record(record), allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, begin)  # half a line would spoil the next one
                raise
        self._keep(record, str(self.path))

    def in_order(self) -> list[TrialRecord]:
        """Return the records by number."""
        return [self.records[number] for number in sorted(self.records)]

    def _keep(self, record: TrialRecord, place: str) -> None:
        if record.number in self.records:
            raise DataError(place, f"has trial {record.number} a second time", "redo the sweep with --force")
        self.records[record.number] = record


def to_plain_record(record: TrialRecord) -> dict[str, Any]:
    """Return a record as data for JSON."""
    settings = {name: to_plain(value) for name, value in record.settings.items()}
    return {**to_plain(record), "settings": settings, "scores": list(record.scores)}


def from_plain_record(plain: Mapping[str, Any]) -> TrialRecord:
    """Read what `to_plain_record` wrote; lists among the settings become tuples, as fields have them.

    Raises:
        ValueError: if it is no record.
    """
    settings, scores = plain.get("settings"), plain.get("scores")
    if not isinstance(settings, dict) or not isinstance(scores, list):
        raise ValueError("a trial has settings and scores")
    for score in scores:
        if not isinstance(score, dict) or any(not isinstance(value, (int, float)) for value in score.values()):
            raise ValueError(f"{score!r} are no scores")
    plain_fields = from_plain(
        _Plain, {name: plain.get(name) for name in ("number", "state", "seconds", "cpu_seconds", "error")}
    )
    return TrialRecord(
        number=plain_fields.number,
        settings={name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()},
        state=plain_fields.state,
        scores=tuple(scores),
        seconds=plain_fields.seconds,
        cpu_seconds=plain_fields.cpu_seconds,
        error=plain_fields.error,
    )


@dataclass(frozen=True, kw_only=True)
class _Plain:
    number: int
    state: State
    seconds: float
    cpu_seconds: float
    error: str


def _record_of(line: bytes, place: str) -> TrialRecord:
    try:
        return from_plain_record(json.loads(line))
    except (ValueError, AttributeError, RecursionError) as error:
        raise DataError(place, f"is no trial ({error})", "redo the sweep with --force") from error
