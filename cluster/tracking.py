"""Runs in MLflow, written so that a dead tracker never stops a job and a repeated record never makes a second run.

Everything goes through one client with explicit run ids; MLflow's process-wide "active run" is never touched. MLflow is
imported on first use, because that takes seconds.
"""

import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.patience import Patience, impatient, within
from cluster.run_record import LONGEST_DIGEST, Dataset, RunRecord
from cluster.secrets import masked, without_accounts
from cluster.spool import Spool, locked_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run, RunTag

KEY_TAG = "pading.key_sha256"  # MLflow's search cannot quote every key
RECORDED_TAG = "pading.recorded_ms"
PARENT_TAG = "mlflow.parentRunId"
TABLES_TAG = "mlflow.loggedArtifacts"  # what MLflow's table view and `load_table` look for
CONTEXT_TAG = "mlflow.data.context"

SQLITE = "sqlite:///"
LARGEST_REQUEST = 900_000  # bytes; a server refuses a million
# A tracker that says this is alive: the next record may pass.
REFUSALS = frozenset(
    ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE", "BAD_REQUEST")
)
# And this may come of another process that wrote the same thing at the same moment.
PASSING = REFUSALS | {"TEMPORARILY_UNAVAILABLE"}
RETRY_AFTER_S = (0.2, 1.0)

log = logging.getLogger(__name__)


class Tracker:
    """One MLflow store, by its URI; where it cannot be reached, records wait in the file `spool`.

    `artifacts` is the folder for run artifacts of a database URI (default: `artifacts` beside a SQLite file); a server
    chooses its own.
    """

    def __init__(
        self, uri: str, *, spool: Path, artifacts: Path | None = None, patience: Patience | None = None
    ) -> None:
        self.uri = uri
        self.shown_uri = without_accounts(uri)
        self.spool = Spool(spool)
        if uri.startswith(SQLITE):
            artifacts = artifacts or Path(uri.removeprefix(SQLITE)).parent / "artifacts"
        self.artifacts = artifacts
        self.patience = patience or Patience()
        self._lazy_client: MlflowClient | None = None
        self._experiments: dict[str, str] = {}  # name -> id
        self._parents: dict[tuple[str, str], str] = {}  # experiment's id and key -> run's id

    def record(self, record: RunRecord) -> str | None:
        """Write one finished run and return its id, or put the record into the spool and return None.

        What is recorded now is newer than what is there, whatever the clocks of two machines say. A run of the same
        experiment and key is updated; one whose parameters differ, or that has metrics which the record lacks, is
        replaced.

        Raises:
            OSError: if neither the tracker nor the disk takes it.
        """
        record = replace(record, tracker=self.shown_uri)
        seconds = self.patience.for_next_run()
        if seconds > 0:
            try:
                with self.patience.spending():
                    return self._send_within(seconds, record, is_newest=True)
            except Exception as error:  # whatever is wrong with the tracker, the job's result is safe in the spool
                log.warning("%s: %s; run %r waits in %s", *self._about(error), record.key, self.spool.path)
                if not _is_refusal(error):
                    self.patience.pause()
        self.spool.append(record)
        return None

    def replay(self, spool: Spool) -> int:
        """Send what waits in a spool, and return how many records still wait there.

        Records keep the time at which they were made, so that one that was overtaken by a newer record changes nothing.
        The first sign that the tracker is down ends the attempt; a record that it refuses holds back no other.

        Raises:
            ValueError: if a line of the file is not a record; nothing is sent then.
        """
        is_down = False

        def send(record: RunRecord) -> bool:
            nonlocal is_down
            if is_down:
                return False
            try:
                self._send_within(self.patience.longest_s, record, is_newest=False)
            except Exception as error:
                log.warning("%s: %s; run %r stays in %s", *self._about(error), record.key, spool.path)
                is_down = not _is_refusal(error)
                return False
            return True

        return spool.replay(send)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, creating or restoring it first where needed."""
        if name not in self._experiments:
            self._experiments[name] = self._active_experiment(name)
        return self._experiments[name]

    def _active_experiment(self, name: str) -> str:
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

    def _send_within(self, seconds: float, record: RunRecord, *, is_newest: bool) -> str:
        def send() -> str:
            for pause_s in RETRY_AFTER_S:
                try:
                    return self._send(record, is_newest=is_newest)
                except Exception as error:
                    self._experiments.clear()  # somebody may have deleted one, or a parent
                    self._parents.clear()
                    if getattr(error, "error_code", None) not in PASSING:
                        raise
                time.sleep(pause_s)
            return self._send(record, is_newest=is_newest)

        with impatient():
            run_id: str = within(seconds, send)
        return run_id

    def _send(self, record: RunRecord, *, is_newest: bool) -> str:
        """Write a record, or what an earlier attempt left out of it: a run is known by its key from its creation on."""
        experiment_id = self.experiment(record.experiment)
        found = self._find(experiment_id, record.key)
        if found is not None and (known_ms := int(found.data.tags.get(RECORDED_TAG, 0))) > record.recorded_ms:
            if not is_newest:
                return str(found.info.run_id)
            record = replace(record, recorded_ms=known_ms + 1)  # a clock is behind
        parent_id = self._parent_id(record)
        if found is not None and not _can_become(found, record):
            self._client.delete_run(found.info.run_id)
            self._parents.pop((experiment_id, record.key), None)
            found = None
        if found is None:
            name, tags = record.name or record.key, {KEY_TAG: _digest(record.key)}
            created = self._client.create_run(experiment_id, record.recorded_ms, tags, name)
            found = self._find(experiment_id, record.key) or created  # another process may have been quicker
        run_id = str(found.info.run_id)
        for metrics, params, tags in _requests(record, parent_id):
            self._client.log_batch(run_id, metrics, params, tags)
        if record.datasets:
            self._client.log_inputs(run_id, [_dataset_input(dataset) for dataset in record.datasets])
        for name, text in record.tables.items():
            self._client.log_text(run_id, text, name)
        for path in record.artifacts:
            self._attach(run_id, Path(path))
        self._client.set_terminated(run_id, record.status)
        return run_id

    def _find(self, experiment_id: str, key: str) -> "Run | None":
        """Return the run of a key. Of two that were created at the same moment, every process keeps the same one."""
        runs = self._client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{_digest(key)}'", max_results=10)
        first, *doubles = sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id)) or [None]
        for double in doubles:
            self._client.delete_run(double.info.run_id)
        return first

    def _parent_id(self, record: RunRecord) -> str | None:
        if record.parent is None:
            return None
        experiment = record.parent_experiment or record.experiment
        place = self.experiment(experiment), record.parent
        if place not in self._parents:
            parent = self._find(*place)
            if parent is None:
                raise LookupError(f"parent run {record.parent!r} is not recorded in {experiment!r}")
            self._parents[place] = str(parent.info.run_id)
        return self._parents[place]

    def _attach(self, run_id: str, path: Path) -> None:
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), path.name)
        elif path.exists():
            self._client.log_artifact(run_id, str(path))
        else:
            log.warning("artifact %s of run %s is gone; the run is recorded without it", path, run_id)

    def _artifact_location(self, experiment: str) -> str | None:
        if self.artifacts is None or self.uri.startswith("http"):
            return None
        return (self.artifacts / experiment).resolve().as_uri()

    def _about(self, error: Exception) -> tuple[str, str]:
        line = (str(error).splitlines() or [""])[0] or type(error).__name__
        return f"MLflow at {self.shown_uri}", masked(line)[:300]

    @property
    def _client(self) -> "MlflowClient":
        if self._lazy_client is None:
            from mlflow import MlflowClient

            with _created_by_one_process(self.uri):
                client = MlflowClient(self.uri)
                client.search_experiments(max_results=1)  # the first contact makes the tables
            self._lazy_client = client
        return self._lazy_client


@contextlib.contextmanager
def _created_by_one_process(uri: str) -> Iterator[None]:
    """Let one process at a time open a SQLite file: two that both fill a fresh one with tables fail."""
    if not uri.startswith(SQLITE):
        yield
        return
    file = Path(uri.removeprefix(SQLITE))
    file.parent.mkdir(parents=True, exist_ok=True)
    with locked_file(file.with_name(f".{file.name}.lock")):
        yield


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, LookupError) or getattr(error, "error_code", None) in REFUSALS


def _can_become(found: "Run", record: RunRecord) -> bool:
    """Parameters cannot be changed, nor metrics be taken away."""
    return found.data.params.items() <= record.params.items() and found.data.metrics.keys() <= record.metrics.keys()


def _requests(
    record: RunRecord, parent_id: str | None
) -> Iterator[tuple[list["Metric"], list["Param"], list["RunTag"]]]:
    """Cut what `log_batch` is to write into requests that a server accepts: one, unless texts are long.

    The client cuts by number itself, but not by size. What marks the run as recorded comes last.
    """
    from mlflow.entities import Metric, Param, RunTag

    tags = {**record.tags, KEY_TAG: _digest(record.key)}
    if parent_id is not None:
        tags[PARENT_TAG] = parent_id
    if record.tables:
        tags[TABLES_TAG] = json.dumps([{"path": name, "type": "table"} for name in record.tables])
    tags[RECORDED_TAG] = str(record.recorded_ms)
    entities = [
        *(Metric(name, value, record.recorded_ms, 0) for name, value in record.metrics.items()),
        *(Param(name, value) for name, value in record.params.items()),
        *(RunTag(name, value) for name, value in tags.items()),
    ]
    requests: list[list[Metric | Param | RunTag]] = [[]]
    size = 0
    for entity in entities:
        num_bytes = len(json.dumps([entity.key, entity.value])) + 100
        if size + num_bytes > LARGEST_REQUEST:
            requests.append([])
            size = 0
        requests[-1].append(entity)
        size += num_bytes
    for request in requests:
        yield tuple([entity for entity in request if isinstance(entity, kind)] for kind in (Metric, Param, RunTag))


def _dataset_input(dataset: Dataset) -> "DatasetInput":
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag

    entity = Entity(
        dataset.name, dataset.digest[:LONGEST_DIGEST], "pading-shards", dataset.source, profile=dataset.profile
    )
    return DatasetInput(entity, [InputTag(CONTEXT_TAG, dataset.context)])


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
