"""Runs in MLflow, written so that a dead tracker never stops a job and a repeated record never makes a second run.

Everything goes through one client with explicit run ids; MLflow's process-wide "active run" is never touched. MLflow is
imported on first use, because that takes seconds. Only the driver of a job records: a fresh SQLite database must not be
created by several processes at once.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.secrets import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

KEY_TAG = "pading.key_sha256"  # MLflow's search cannot quote every key; the run's name is the key itself
RECORDED_TAG = "pading.recorded_ms"
PARENT_TAG = "mlflow.parentRunId"

# MLflow's own defaults keep a job waiting for minutes on a server that is gone.
IMPATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
PAUSE_S = 60.0
LONGEST_PARAM, LONGEST_TAG = 6000, 8000

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """All there is to say about one run: one line of a spool file."""

    experiment: str
    key: str
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    artifacts: tuple[str, ...]
    parent: str | None
    recorded_ms: int


class Tracker:
    """One MLflow store, by its URI; where it cannot be reached, records wait in the file `spool`.

    `artifacts` is the folder for run artifacts of a database URI (default: `artifacts` beside a SQLite file); a server
    chooses its own.
    """

    def __init__(self, uri: str, *, spool: Path, artifacts: Path | None = None) -> None:
        self.uri = uri
        self.spool = spool
        if artifacts is None and uri.startswith("sqlite:///"):
            artifacts = Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
        self.artifacts = artifacts
        self._lazy_client: MlflowClient | None = None
        self._silent_until = 0.0

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, creating or restoring it first where needed."""
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name, self._artifact_location(name))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            found = self._client.get_experiment_by_name(name)
            assert found is not None
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def record_run(
        self,
        *,
        experiment: str,
        key: str,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        metrics: Mapping[str, float],
        artifacts: Sequence[Path] = (),
        parent: str | None = None,
    ) -> str | None:
        """Write one finished run and return its id, or put the record into the spool and return None.

        Args:
            experiment: its name; created where absent.
            key: identity of the run inside the experiment: recording the same key again updates the run. MLflow cannot
                change a parameter, so a run whose parameters differ is replaced.
            params: what was chosen.
            tags: what to find the run by.
            metrics: flat names such as "pq/seen".
            artifacts: small files or folders to attach.
            parent: key of the parent run, which must be recorded first.
        """
        record = RunRecord(
            experiment=experiment,
            key=key,
            params={name: str(value)[:LONGEST_PARAM] for name, value in params.items()},
            tags={name: str(value)[:LONGEST_TAG] for name, value in tags.items()},
            metrics={name: float(value) for name, value in metrics.items()},
            artifacts=tuple(str(path.resolve()) for path in artifacts),
            parent=parent,
            recorded_ms=time.time_ns() // 1_000_000,
        )
        if time.monotonic() >= self._silent_until:
            try:
                return self._send(record)
            except Exception as error:  # whatever is wrong with the tracker, the job's result is safe in the spool
                log.warning(
                    "MLflow at %s: %s; run %r waits in %s", masked(self.uri), _first_line(error), key, self.spool
                )
                if getattr(error, "error_code", None) != "INVALID_PARAMETER_VALUE":
                    self._silent_until = time.monotonic() + PAUSE_S
        self.spool.parent.mkdir(parents=True, exist_ok=True)
        with self.spool.open("a") as lines:
            lines.write(json.dumps(dataclasses.asdict(record)) + "\n")
        return None

    def replay(self, spool: Path) -> int:
        """Send what waits in a spool file, and return how many records still wait there.

        Records keep the time at which they were made, so that one that was overtaken by a newer record changes nothing.

        Raises:
            ValueError: if a line of the file is not a record; nothing is sent then.
        """
        if not spool.exists():
            return 0
        waiting = []
        for record in [_parse(line, spool, number) for number, line in enumerate(spool.open(), start=1)]:
            try:
                self._send(record)
            except Exception as error:  # the others may still pass
                log.warning(
                    "MLflow at %s: %s; run %r stays in %s", masked(self.uri), _first_line(error), record.key, spool
                )
                waiting.append(record)
        rest = spool.with_suffix(".rest")
        rest.write_text("".join(json.dumps(dataclasses.asdict(record)) + "\n" for record in waiting))
        rest.replace(spool)
        if not waiting:
            spool.unlink()
        return len(waiting)

    def _send(self, record: RunRecord) -> str:
        with _impatient():
            experiment_id = self.experiment(record.experiment)
            found = self._find(experiment_id, record.key)
            if found is not None and int(found.data.tags.get(RECORDED_TAG, 0)) > record.recorded_ms:
                return str(found.info.run_id)
            run_id = self._write(experiment_id, found, record)
            for path in record.artifacts:
                self._attach(run_id, Path(path))
            self._client.set_terminated(run_id, "FINISHED")
            return run_id

    def _write(self, experiment_id: str, found: "Run | None", record: RunRecord) -> str:
        from mlflow.entities import Metric, Param, RunTag

        tags = {**record.tags, KEY_TAG: _digest(record.key), RECORDED_TAG: str(record.recorded_ms)}
        if record.parent is not None:
            parent = self._find(experiment_id, record.parent)
            if parent is None:
                raise LookupError(f"parent run {record.parent!r} is not recorded in {record.experiment!r}")
            tags[PARENT_TAG] = parent.info.run_id
        if found is not None and not found.data.params.items() <= record.params.items():
            self._client.delete_run(found.info.run_id)
            found = None
        if found is None:
            found = self._client.create_run(
                experiment_id, record.recorded_ms, {KEY_TAG: _digest(record.key)}, record.key
            )
        self._client.log_batch(
            found.info.run_id,
            metrics=[Metric(name, value, record.recorded_ms, 0) for name, value in record.metrics.items()],
            params=[Param(name, value) for name, value in record.params.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        return str(found.info.run_id)

    def _attach(self, run_id: str, path: Path) -> None:
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), path.name)
        elif path.exists():
            self._client.log_artifact(run_id, str(path))
        else:
            log.warning("artifact %s of run %s is gone", path, run_id)

    def _find(self, experiment_id: str, key: str) -> "Run | None":
        runs = self._client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{_digest(key)}'", max_results=1)
        return runs[0] if runs else None

    def _artifact_location(self, experiment: str) -> str | None:
        if self.artifacts is None or self.uri.startswith("http"):
            return None
        return (self.artifacts / experiment).resolve().as_uri()

    @property
    def _client(self) -> "MlflowClient":
        if self._lazy_client is None:
            from mlflow import MlflowClient

            if self.uri.startswith("sqlite:///"):
                Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            self._lazy_client = MlflowClient(self.uri)
        return self._lazy_client


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Give up on a dead server after seconds; what the user has set in the environment wins."""
    added = {name: value for name, value in IMPATIENCE.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _parse(line: str, spool: Path, number: int) -> RunRecord:
    try:
        fields = json.loads(line)
        return RunRecord(**{**fields, "artifacts": tuple(fields["artifacts"])})
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{spool}, line {number} is not a run record ({error}); mend or delete the line") from error


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _first_line(error: Exception) -> str:
    return masked((str(error).splitlines() or [type(error).__name__])[0][:300])
