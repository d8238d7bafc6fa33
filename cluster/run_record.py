"""What is to be said of one MLflow run, as one line of text: so it can wait in a file until a tracker answers."""

import dataclasses
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

LONGEST_PARAM, LONGEST_TAG = 6000, 8000  # characters; MLflow keeps no more
LONGEST_DIGEST = 36

Status = Literal["FINISHED", "FAILED"]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set that a run read."""

    name: str
    digest: str  # 36 characters at most
    context: str  # what it was read for: train, val
    source: str  # JSON: where it lies
    profile: str  # JSON: what it holds


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """All there is to say about one finished run.

    `key` is the identity of the run inside its experiment: recorded again, the run is updated. `parent` is the key of
    another run, recorded before, in `parent_experiment` or, if that is empty, in the same one. `artifacts` are small
    files or folders by their path; `tables` are JSON files by name and content, as `table_json` makes them, which
    travel in the record. `tracker` is the store that was meant.
    """

    experiment: str
    key: str
    name: str = ""  # what people read; empty: the key
    params: Mapping[str, Any] = field(default_factory=dict)  # what was chosen; MLflow cannot change it later
    tags: Mapping[str, Any] = field(default_factory=dict)  # what to find the run by
    metrics: Mapping[str, float] = field(default_factory=dict)  # flat names such as "pq/seen"
    artifacts: Sequence[Any] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    datasets: Sequence[Dataset] = ()
    parent: str | None = None
    parent_experiment: str = ""
    status: Status = "FINISHED"
    tracker: str = ""
    recorded_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __post_init__(self) -> None:
        plain = {
            "params": {name: str(value)[:LONGEST_PARAM] for name, value in self.params.items()},
            "tags": {name: str(value)[:LONGEST_TAG] for name, value in self.tags.items()},
            "metrics": {name: float(value) for name, value in self.metrics.items()},
            "artifacts": tuple(os.path.abspath(path) for path in self.artifacts),
            "tables": {name: str(text) for name, text in self.tables.items()},
            "datasets": tuple(self.datasets),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    def to_line(self) -> str:
        """Return the record as one line of JSON, with its line end."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    @staticmethod
    def from_line(line: str) -> "RunRecord":
        """Read what `to_line` wrote; a line of an older version lacks fields that it had no use for.

        Raises:
            ValueError: if the line is no record.
        """
        try:
            fields = json.loads(line)
            datasets = tuple(Dataset(**entry) for entry in fields.get("datasets", ()))
            record = RunRecord(**{**fields, "datasets": datasets, "recorded_ms": int(fields["recorded_ms"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if not (isinstance(record.experiment, str) and isinstance(record.key, str) and record.experiment):
            raise ValueError("experiment and key must be text")
        return record


def table_json(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as MLflow shows and loads it: pandas' orientation "split", without an index."""
    return json.dumps({"columns": list(columns), "data": [list(row) for row in rows]}, allow_nan=False)
