import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from cluster.tracking import IMPATIENCE, PARENT_TAG, Tracker

DEAD = "http://127.0.0.1:9"

# MLflow's own imports warn about their dependencies' futures.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow import MlflowClient
    from mlflow.entities import Run

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Creating a SQLite store runs all of MLflow's migrations, which takes seconds: once for all tests."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def tracker(store: Path, tmp_path: Path) -> Tracker:
    return Tracker(f"sqlite:///{store}/deep/mlflow.db", spool=tmp_path / "spool.jsonl")


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return f"pading/{request.node.name}"


def runs_in(tracker: Tracker, experiment: str) -> list[Run]:
    client = MlflowClient(tracker.uri)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def record(tracker: Tracker, experiment: str, *, key: str = "row", pq: float = 0.5, **others) -> str | None:
    fields = {"params": {"lambda": 0.1}, "tags": {"method": "pading", "stage": "evaluate"}, **others}
    return tracker.record_run(experiment=experiment, key=key, metrics={"pq/seen": pq}, **fields)


def test_a_run_carries_params_tags_metrics_and_files(tracker: Tracker, experiment: str, tmp_path: Path):
    (tmp_path / "panels").mkdir()
    (tmp_path / "panels" / "one.txt").write_text("a")
    (tmp_path / "report.json").write_text("{}")
    run_id = record(tracker, experiment, artifacts=[tmp_path / "panels", tmp_path / "report.json"])
    (run,) = runs_in(tracker, experiment)
    assert run.info.run_id == run_id
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lambda": "0.1"}
    assert run.data.metrics == {"pq/seen": 0.5}
    assert run.data.tags["method"] == "pading"
    names = {file.path for file in MlflowClient(tracker.uri).list_artifacts(run_id)}
    assert names == {"panels", "report.json"}
    assert not tracker.spool.exists()


def test_artifacts_lie_beside_the_database_by_default_and_nothing_in_the_working_folder(
    tracker: Tracker, experiment: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    record(tracker, experiment)
    location = MlflowClient(tracker.uri).get_experiment_by_name(experiment).artifact_location
    assert location == (store / "deep" / "artifacts" / experiment).as_uri()
    assert not list(tmp_path.iterdir())


def test_recording_the_same_key_updates_the_run_instead_of_doubling_it(tracker: Tracker, experiment: str):
    first = record(tracker, experiment, pq=0.5)
    second = record(tracker, experiment, pq=0.4, tags={"method": "gmmn"})
    (run,) = runs_in(tracker, experiment)
    assert first == second == run.info.run_id
    assert run.data.metrics == {"pq/seen": 0.4}
    assert run.data.tags["method"] == "gmmn"


def test_a_run_whose_params_changed_is_replaced(tracker: Tracker, experiment: str):
    first = record(tracker, experiment)
    second = record(tracker, experiment, params={"lambda": 0.2})
    (run,) = runs_in(tracker, experiment)
    assert run.info.run_id == second != first
    assert run.data.params == {"lambda": "0.2"}


def test_keys_may_hold_quotes_and_stay_apart(tracker: Tracker, experiment: str):
    assert record(tracker, experiment, key="it's a 'row'") != record(tracker, experiment, key="it's another")
    assert record(tracker, experiment, key="it's a 'row'") is not None
    assert len(runs_in(tracker, experiment)) == 2


def test_a_child_names_its_parent_run(tracker: Tracker, experiment: str):
    parent = record(tracker, experiment, key="sweep")
    child = record(tracker, experiment, key="trial 1", parent="sweep")
    tags = {run.info.run_id: run.data.tags for run in runs_in(tracker, experiment)}
    assert tags[child][PARENT_TAG] == parent
    assert PARENT_TAG not in tags[parent]


def test_long_params_and_many_metrics_fit(tracker: Tracker, experiment: str):
    metrics = {f"pq/class {index}": float(index) for index in range(1200)}
    params = {f"param {index}": "x" * 7000 for index in range(120)}
    tracker.record_run(experiment=experiment, key="big", params=params, tags={"note": "y" * 9000}, metrics=metrics)
    (run,) = runs_in(tracker, experiment)
    assert run.data.metrics == metrics
    assert {len(value) for value in run.data.params.values()} == {6000}
    assert len(run.data.tags["note"]) == 8000


def test_a_deleted_experiment_is_restored(tracker: Tracker, experiment: str):
    record(tracker, experiment, key="before")
    MlflowClient(tracker.uri).delete_experiment(tracker.experiment(experiment))
    assert record(tracker, experiment, key="after") is not None


def test_a_dead_tracker_spools_in_seconds_and_replay_records_exactly_once(
    tracker: Tracker, experiment: str, tmp_path: Path
):
    dead = Tracker(DEAD, spool=tmp_path / "deep" / "spool.jsonl")
    started = time.monotonic()
    assert [record(dead, experiment, key=f"row {index}", pq=index) for index in range(20)] == [None] * 20
    assert time.monotonic() - started < 10
    assert len(dead.spool.read_text().splitlines()) == 20
    kept = dead.spool.read_text()
    assert tracker.replay(dead.spool) == 0
    assert not dead.spool.exists()
    dead.spool.write_text(kept)
    assert tracker.replay(dead.spool) == 0
    metrics = {run.info.run_name: run.data.metrics["pq/seen"] for run in runs_in(tracker, experiment)}
    assert len(runs_in(tracker, experiment)) == 20
    assert metrics == {f"row {index}": index for index in range(20)}


def test_replaying_into_a_dead_tracker_loses_nothing(tmp_path: Path, experiment: str):
    dead = Tracker(DEAD, spool=tmp_path / "spool.jsonl")
    record(dead, experiment)
    kept = dead.spool.read_text()
    assert dead.replay(dead.spool) == 1
    assert dead.spool.read_text() == kept


def test_an_overtaken_record_changes_nothing(tracker: Tracker, experiment: str, tmp_path: Path):
    dead = Tracker(DEAD, spool=tmp_path / "old.jsonl")
    record(dead, experiment, pq=0.9, tags={"method": "old"})
    record(tracker, experiment, pq=0.1, tags={"method": "new"})
    assert tracker.replay(dead.spool) == 0
    (run,) = runs_in(tracker, experiment)
    assert (run.data.metrics["pq/seen"], run.data.tags["method"]) == (0.1, "new")


def test_one_refused_record_does_not_hold_back_the_next(tracker: Tracker, experiment: str):
    assert tracker.record_run(experiment=experiment, key="bad", params={}, tags={}, metrics={"pq?*": 1.0}) is None
    assert record(tracker, experiment, key="good") is not None
    assert json.loads(tracker.spool.read_text())["key"] == "bad"


def test_a_child_without_a_recorded_parent_waits_in_the_spool(tracker: Tracker, experiment: str):
    assert record(tracker, experiment, key="trial", parent="never recorded") is None
    assert json.loads(tracker.spool.read_text())["parent"] == "never recorded"


def test_the_environment_is_as_before_and_the_users_settings_win(
    tmp_path: Path, experiment: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = dict(os.environ)
    record(Tracker(DEAD, spool=tmp_path / "spool.jsonl"), experiment)
    assert dict(os.environ) == before
    assert not set(IMPATIENCE) - {"MLFLOW_HTTP_REQUEST_MAX_RETRIES"} & set(os.environ)


def test_a_torn_spool_line_is_named_and_nothing_is_sent(tracker: Tracker, tmp_path: Path, experiment: str):
    dead = Tracker(DEAD, spool=tmp_path / "spool.jsonl")
    record(dead, experiment)
    with dead.spool.open("a") as lines:
        lines.write('{"experiment": "x"')
    with pytest.raises(ValueError, match=r"spool\.jsonl, line 2 is not a run record"):
        tracker.replay(dead.spool)
    assert MlflowClient(tracker.uri).get_experiment_by_name(experiment) is None


def test_replaying_a_spool_that_is_not_there_is_nothing_to_do(tracker: Tracker, tmp_path: Path):
    assert tracker.replay(tmp_path / "none.jsonl") == 0


def test_importing_the_module_does_not_import_mlflow():
    program = "import sys, cluster.tracking; print('mlflow' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "False"
