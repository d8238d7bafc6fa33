import json
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.patience import Patience
from cluster.run_record import Dataset, RunRecord, table_json
from cluster.spool import Spool
from cluster.tracking import CONTEXT_TAG, KEY_TAG, PARENT_TAG, Tracker, _digest

ROOT = Path(__file__).resolve().parents[2]
DEAD = "http://127.0.0.1:9"

# MLflow's own imports warn about their dependencies' futures.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow import MlflowClient
    from mlflow.entities import Run

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)

# Records runs into a fresh store beside another process that does the same.
WRITER = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from cluster.run_record import RunRecord
from cluster.tracking import Tracker
uri, spool, name = sys.argv[1:]
tracker = Tracker(uri, spool=Path(spool))
tracker.record(RunRecord(experiment="pading/runs", key=name))
for index in range(12):
    record = RunRecord(experiment="pading/panoptic", key=f"{name} {index}", metrics={"pq": index}, parent=name,
                       parent_experiment="pading/runs")
    assert tracker.record(record), index
"""


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


@pytest.fixture
def bad_server() -> Iterator[Callable[[bool], str]]:
    """A server that accepts every connection and then says nothing, or a byte now and then: no read ever times out."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended, accepted = threading.Event(), []

    def serve(drips: bool) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                connection, _ = listening.accept()
                accepted.append(connection)
                if drips:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
                    threading.Thread(target=drip, args=(connection,), daemon=True).start()

    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            while not ended.wait(0.05):
                connection.sendall(b" ")

    def start(drips: bool) -> str:
        threading.Thread(target=serve, args=(drips,), daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    ended.set()
    for each in (listening, *accepted):
        each.close()


def runs_in(tracker: Tracker, experiment: str) -> list[Run]:
    client = MlflowClient(tracker.uri)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def row(experiment: str, *, key: str = "row", pq: float = 0.5, **others) -> RunRecord:
    fields = {"params": {"lambda": 0.1}, "tags": {"method": "pading", "stage": "evaluate"}, **others}
    return RunRecord(experiment=experiment, key=key, metrics={"pq/seen": pq}, **fields)


def record(tracker: Tracker, experiment: str, **fields) -> str | None:
    return tracker.record(row(experiment, **fields))


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
    assert not tracker.spool.path.exists()


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
    big = RunRecord(experiment=experiment, key="big", params=params, tags={"note": "y" * 9000}, metrics=metrics)
    assert tracker.record(big)
    (run,) = runs_in(tracker, experiment)
    assert run.data.metrics == metrics
    assert {len(value) for value in run.data.params.values()} == {6000}
    assert len(run.data.tags["note"]) == 8000


def test_a_deleted_experiment_is_restored(tracker: Tracker, experiment: str):
    record(tracker, experiment, key="before")
    MlflowClient(tracker.uri).delete_experiment(tracker.experiment(experiment))
    assert record(tracker, experiment, key="after") is not None
    assert {run.info.run_name for run in runs_in(tracker, experiment)} >= {"after"}


def test_a_dead_tracker_spools_in_seconds_and_replay_records_exactly_once(
    tracker: Tracker, experiment: str, tmp_path: Path
):
    dead = Tracker(DEAD, spool=tmp_path / "deep" / "spool.jsonl")
    started = time.monotonic()
    assert [record(dead, experiment, key=f"row {index}", pq=index) for index in range(20)] == [None] * 20
    assert time.monotonic() - started < 10
    assert len(dead.spool.path.read_text().splitlines()) == 20
    kept = dead.spool.path.read_text()
    assert tracker.replay(dead.spool) == 0
    assert not dead.spool.path.exists()
    dead.spool.path.write_text(kept)
    assert tracker.replay(dead.spool) == 0
    metrics = {run.info.run_name: run.data.metrics["pq/seen"] for run in runs_in(tracker, experiment)}
    assert len(runs_in(tracker, experiment)) == 20
    assert metrics == {f"row {index}": index for index in range(20)}


def test_replaying_into_a_dead_tracker_loses_nothing(tmp_path: Path, experiment: str):
    dead = Tracker(DEAD, spool=tmp_path / "spool.jsonl")
    record(dead, experiment)
    kept = dead.spool.path.read_text()
    assert dead.replay(dead.spool) == 1
    assert dead.spool.path.read_text() == kept


def test_an_overtaken_record_changes_nothing(tracker: Tracker, experiment: str, tmp_path: Path):
    dead = Tracker(DEAD, spool=tmp_path / "old.jsonl")
    record(dead, experiment, pq=0.9, tags={"method": "old"})
    record(tracker, experiment, pq=0.1, tags={"method": "new"})
    assert tracker.replay(dead.spool) == 0
    (run,) = runs_in(tracker, experiment)
    assert (run.data.metrics["pq/seen"], run.data.tags["method"]) == (0.1, "new")


def test_a_clock_that_is_behind_keeps_no_newer_record_out(tracker: Tracker, experiment: str, tmp_path: Path):
    hour_ms = 3_600_000
    ahead = int(time.time() * 1000) + hour_ms
    record(tracker, experiment, pq=0.1, tags={"method": "old"}, recorded_ms=ahead)
    record(tracker, experiment, pq=0.9, tags={"method": "new"})
    (run,) = runs_in(tracker, experiment)
    assert (run.data.metrics["pq/seen"], run.data.tags["method"]) == (0.9, "new")
    dead = Tracker(DEAD, spool=tmp_path / "old.jsonl")
    record(dead, experiment, pq=0.5, tags={"method": "spooled"})
    assert tracker.replay(dead.spool) == 0  # by the clocks it was overtaken, and nothing says otherwise
    (run,) = runs_in(tracker, experiment)
    assert run.data.tags["method"] == "new"


def test_one_refused_record_does_not_hold_back_the_next(tracker: Tracker, experiment: str):
    assert tracker.record(RunRecord(experiment=experiment, key="bad", metrics={"pq?*": 1.0})) is None
    assert record(tracker, experiment, key="good") is not None
    assert json.loads(tracker.spool.path.read_text())["key"] == "bad"


def test_a_child_without_a_recorded_parent_waits_in_the_spool(tracker: Tracker, experiment: str):
    assert record(tracker, experiment, key="trial", parent="never recorded") is None
    assert json.loads(tracker.spool.path.read_text())["parent"] == "never recorded"


def test_one_refused_record_does_not_hold_back_a_replay(tracker: Tracker, experiment: str, tmp_path: Path):
    spool = Spool(tmp_path / "waiting.jsonl")
    for key, metrics in (("bad", {"pq?*": 1.0}), ("orphan", {}), ("good", {"pq": 1.0})):
        parent = "never recorded" if key == "orphan" else None
        spool.append(RunRecord(experiment=experiment, key=key, metrics=metrics, parent=parent))
    assert tracker.replay(spool) == 2
    assert [record.key for record in spool.records()] == ["bad", "orphan"]
    assert "good" in {run.info.run_name for run in runs_in(tracker, experiment)}


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "dripping"])
def test_a_tracker_that_hangs_costs_bounded_time(bad_server: Callable, drips: bool, tmp_path: Path, experiment: str):
    patience = Patience(start_s=1.0, per_run_s=0.01, pause_s=0.1)
    hanging = Tracker(bad_server(drips), spool=tmp_path / "spool.jsonl", patience=patience)
    for index in range(60):
        assert record(hanging, experiment, key=f"row {index}") is None
        time.sleep(0.01)
    assert patience.spent_s < 10
    assert len(hanging.spool.records()) == 60


def test_a_slow_tracker_is_given_up_when_patience_ends(tracker: Tracker, experiment: str):
    tracker.patience = Patience(start_s=0.001, per_run_s=0.0)
    record(tracker, experiment, key="first")  # takes longer than that, or is cut short
    assert [record(tracker, experiment, key=f"row {index}") for index in range(5)] == [None] * 5
    assert [each.key for each in tracker.spool.records()][-5:] == [f"row {index}" for index in range(5)]
    for thread in threading.enumerate():  # what was cut short may still be writing
        if thread.name == "tracker":
            thread.join()
    tracker.patience = Patience()
    assert tracker.replay(tracker.spool) == 0
    names = [run.info.run_name for run in runs_in(tracker, experiment)]
    assert sorted(names) == ["first", *(f"row {index}" for index in range(5))]


def test_the_first_sign_that_the_tracker_is_down_ends_a_replay(bad_server: Callable, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    spool = Spool(tmp_path / "spool.jsonl")
    for index in range(30):
        spool.append(RunRecord(experiment="e", key=f"row {index}"))
    start = time.monotonic()
    assert Tracker(bad_server(False), spool=spool.path).replay(spool) == 30
    assert time.monotonic() - start < 15


def test_a_half_sent_record_is_completed_not_doubled(tracker: Tracker, experiment: str):
    """What a process leaves behind that was killed right after it had created the run."""
    client = MlflowClient(tracker.uri)
    half = client.create_run(tracker.experiment(experiment), tags={KEY_TAG: _digest("row")}, run_name="row")
    assert half.info.status == "RUNNING"
    assert record(tracker, experiment) == half.info.run_id
    (run,) = runs_in(tracker, experiment)
    assert (run.info.status, run.data.metrics, run.data.params) == ("FINISHED", {"pq/seen": 0.5}, {"lambda": "0.1"})


def test_of_two_runs_that_were_created_at_once_every_process_keeps_the_same(tracker: Tracker, experiment: str):
    client, experiment_id = MlflowClient(tracker.uri), tracker.experiment(experiment)
    runs = [client.create_run(experiment_id, 5, {KEY_TAG: _digest("row")}) for _ in range(3)]
    kept = min(run.info.run_id for run in runs)
    assert record(tracker, experiment) == kept
    assert [run.info.run_id for run in runs_in(tracker, experiment)] == [kept]


def test_a_run_that_loses_a_metric_is_replaced(tracker: Tracker, experiment: str):
    first = tracker.record(RunRecord(experiment=experiment, key="row", metrics={"pq/seen": 1.0, "pq/unseen": 2.0}))
    second = tracker.record(RunRecord(experiment=experiment, key="row", metrics={"pq/seen": 1.5}))
    (run,) = runs_in(tracker, experiment)
    assert run.info.run_id == second != first
    assert run.data.metrics == {"pq/seen": 1.5}


def test_a_replaced_parent_is_the_one_that_children_name(tracker: Tracker, experiment: str):
    record(tracker, experiment, key="sweep")
    record(tracker, experiment, key="trial 1", parent="sweep")
    parent = record(tracker, experiment, key="sweep", params={"lambda": 0.3})
    child = record(tracker, experiment, key="trial 1", parent="sweep")
    tags = {run.info.run_id: run.data.tags for run in runs_in(tracker, experiment)}
    assert tags.keys() == {parent, child}
    assert tags[child][PARENT_TAG] == parent


def test_a_parent_may_lie_in_another_experiment(tracker: Tracker, experiment: str):
    parent = record(tracker, f"{experiment} parents", key="run")
    record(tracker, experiment, parent="run", parent_experiment=f"{experiment} parents")
    (run,) = runs_in(tracker, experiment)
    assert run.data.tags[PARENT_TAG] == parent


def test_name_and_status_are_what_the_record_says(tracker: Tracker, experiment: str):
    record(tracker, experiment, name="trial 7", status="FAILED")
    (run,) = runs_in(tracker, experiment)
    assert (run.info.run_name, run.info.status) == ("trial 7", "FAILED")


def test_data_sets_are_inputs_of_the_run_and_are_not_doubled(tracker: Tracker, experiment: str):
    datasets = [
        Dataset(name="shapes", digest=part * 10, context=part, source='{"uri": "/shards"}', profile='{"num_images": 3}')
        for part in ("train", "val")
    ]
    record(tracker, experiment, datasets=datasets)
    record(tracker, experiment, datasets=datasets)
    (run,) = runs_in(tracker, experiment)
    inputs = {entry.dataset.digest: entry for entry in run.inputs.dataset_inputs}
    assert inputs.keys() == {("train" * 10)[:36], ("val" * 10)[:36]}
    entry = inputs[("val" * 10)[:36]]
    assert (entry.dataset.name, entry.dataset.profile) == ("shapes", '{"num_images": 3}')
    assert {tag.key: tag.value for tag in entry.tags} == {CONTEXT_TAG: "val"}


@pytest.mark.filterwarnings("default")
def test_mlflow_loads_the_tables(tracker: Tracker, experiment: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)  # `load_table` looks into the store of the process
    table = table_json(["class", "is_seen", "pq"], [["cat", True, 50.0], ["dog", False, None]])
    for _ in range(2):  # written again, not appended to
        record(tracker, experiment, tables={"per_class.json": table})
    client = MlflowClient(tracker.uri)
    loaded = client.load_table(tracker.experiment(experiment), "per_class.json")
    assert list(loaded.columns) == ["class", "is_seen", "pq"]
    assert loaded["class"].tolist() == ["cat", "dog"]
    assert loaded["pq"].isna().tolist() == [False, True]


def test_an_artifact_that_is_gone_is_said_and_the_run_recorded(
    tracker: Tracker, experiment: str, tmp_path: Path, caplog
):
    dead = Tracker(DEAD, spool=tmp_path / "waiting.jsonl")
    for name in ("gone.png", "there.png"):
        (tmp_path / name).write_text("a")
    record(dead, experiment, artifacts=[tmp_path / "gone.png", tmp_path / "there.png"])
    (tmp_path / "gone.png").unlink()
    assert tracker.replay(dead.spool) == 0
    assert f"artifact {tmp_path / 'gone.png'} of run" in caplog.text
    (run,) = runs_in(tracker, experiment)
    assert run.info.status == "FINISHED"
    assert [file.path for file in MlflowClient(tracker.uri).list_artifacts(run.info.run_id)] == ["there.png"]


def test_a_dead_tracker_and_a_full_disk_are_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    dead = Tracker(DEAD, spool=tmp_path / "file" / "spool.jsonl")
    with pytest.raises(OSError, match="no tracker answers, and run 'row' cannot be kept here"):
        record(dead, "e")


def test_passwords_in_the_address_stay_out_of_spool_and_log(tmp_path: Path, caplog):
    dead = Tracker("http://me:hunter2@127.0.0.1:9", spool=tmp_path / "spool.jsonl")
    assert record(dead, "e") is None
    assert "http://***@127.0.0.1:9" in caplog.text
    assert "hunter2" not in caplog.text + dead.spool.path.read_text()
    assert dead.spool.records()[0].tracker == "http://***@127.0.0.1:9"


@pytest.mark.slow
def test_two_processes_fill_one_fresh_sqlite_file_and_nothing_is_lost(tmp_path: Path):
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    commands = [[sys.executable, "-c", WRITER, uri, str(tmp_path / f"{name}.jsonl"), name] for name in "ab"]
    writers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for command in commands]
    complaints = [writer.communicate(timeout=300)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], complaints
    tracker = Tracker(uri, spool=tmp_path / "none.jsonl")
    found = {run.info.run_name: run.data.metrics["pq"] for run in runs_in(tracker, "pading/panoptic")}
    assert found == {f"{name} {index}": index for name in "ab" for index in range(12)}
    assert len(runs_in(tracker, "pading/panoptic")) == 24
    assert len({run.data.tags[PARENT_TAG] for run in runs_in(tracker, "pading/panoptic")}) == 2
    assert not list(tmp_path.glob("*.jsonl"))
