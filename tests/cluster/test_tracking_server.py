"""Tracking over HTTP, against real servers: SQLite and accounts behind one, PostgreSQL behind the other."""

import importlib.util
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cluster.patience import Patience
from cluster.run_record import Dataset, RunRecord, table_json
from cluster.tracking import PARENT_TAG, Tracker
from tests.cluster.tracking_servers import mlflow_server, postgres

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow import MlflowClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
]
ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery"
HAS_ACCOUNTS = importlib.util.find_spec("flask_wtf") is not None  # what MLflow's `basic-auth` app needs

WRITER = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from cluster.patience import Patience
from cluster.run_record import RunRecord
from cluster.tracking import Tracker
tracker = Tracker(sys.argv[1], spool=Path(sys.argv[2]), patience=Patience(start_s=1000, longest_s=1000))
for index in range(10):
    assert tracker.record(RunRecord(experiment="pading/both", key=f"row {index}", metrics={"pq": index})), index
"""


class Server(NamedTuple):
    address: str
    log: Path


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """On a busy machine a healthy server may take its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MLflow over SQLite; with accounts, where what they need is installed."""
    folder = tmp_path_factory.mktemp("server")
    options, environment = (), {}
    if HAS_ACCOUNTS:
        (folder / "basic_auth.ini").write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/accounts.db\n"
            f"admin_username = admin\nadmin_password = {PASSWORD}\n"
        )
        options = ("--app-name", "basic-auth")
        environment = {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "basic_auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "k"}
    store = f"sqlite:///{folder}/mlflow.db"
    with mlflow_server(folder, store=store, options=options, environment=environment) as address:
        yield Server(address, folder / "server.log")


@pytest.fixture
def as_admin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)


@pytest.fixture(scope="module")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("psycopg2, by which MLflow speaks to PostgreSQL, is not installed; it is in the test extra")
    folder = tmp_path_factory.mktemp("postgres_server")
    try:
        with postgres() as store, mlflow_server(folder, store=store) as address:
            yield Server(address, folder / "server.log")
    except LookupError as reason:
        pytest.skip(str(reason))


def patient_tracker(server: Server, folder: Path) -> Tracker:
    patience = Patience(start_s=1000, longest_s=1000)
    return Tracker(server.address, spool=folder / "spool.jsonl", patience=patience)


def requests_in(log: Path) -> list[str]:
    return re.findall(r'"(?:GET|POST|PUT) [^"?]*/(?:mlflow|mlflow-artifacts)/([a-z-]+(?:/[a-z-]+)?)', log.read_text())


def full_record(key: str, artifact: Path, experiment: str) -> RunRecord:
    return RunRecord(
        experiment=experiment,
        key=key,
        params={"preset": "shapes"},
        tags={"method": "pading", "stage": "evaluate"},
        metrics={"pq/hm": 12.5, "pq/hm.low": 11.0, "pq/hm.high": 14.0},
        datasets=[Dataset(name="shapes", digest="ab12", context="val", source="{}", profile="{}")],
        tables={"per_class.json": table_json(["class", "pq"], [["cat", 50.0]])},
        artifacts=[artifact],
        parent="run",
        parent_experiment=f"{experiment} runs",
    )


def check_full_record(server: Server, tmp_path: Path) -> None:
    """Record a parent and two rows twice; read them back; count what was asked of the server."""
    (tmp_path / "panels.png").write_bytes(b"picture")
    tracker = patient_tracker(server, tmp_path)
    parent = tracker.record(RunRecord(experiment="pading/full runs", key="run"))
    first = tracker.record(full_record("row 0", tmp_path / "panels.png", "pading/full"))
    assert first is not None, server.log.read_text()[-3000:]
    asked = len(requests_in(server.log))
    assert tracker.record(full_record("row 1", tmp_path / "panels.png", "pading/full"))
    requests = requests_in(server.log)[asked:]
    assert requests.count("runs/log-batch") == 1
    assert len(requests) <= 10, requests
    assert tracker.record(full_record("row 0", tmp_path / "panels.png", "pading/full")) == first
    assert not tracker.spool.path.exists()
    client = MlflowClient(server.address)
    experiment_id = client.get_experiment_by_name("pading/full").experiment_id
    runs = client.search_runs([experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["row 0", "row 1"]
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.metrics == {"pq/hm": 12.5, "pq/hm.low": 11.0, "pq/hm.high": 14.0}
        assert run.data.tags[PARENT_TAG] == parent
        assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == ["ab12"]
        assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"panels.png", "per_class.json"}
        table = client.download_artifacts(run.info.run_id, "per_class.json", str(tmp_path))
        assert json.loads(Path(table).read_text())["data"] == [["cat", 50.0]]


def test_a_server_takes_all_of_a_record_in_few_requests(server: Server, as_admin: None, tmp_path: Path) -> None:
    check_full_record(server, tmp_path)


def test_texts_longer_than_one_request_may_be_are_cut(server: Server, as_admin: None, tmp_path: Path) -> None:
    """A server refuses requests of more than a megabyte; accents count six bytes each."""
    tracker = patient_tracker(server, tmp_path)
    params, tags = ({f"{kind} {index}": "é" * 6000 for index in range(60)} for kind in ("param", "tag"))
    metrics = {f"pq/class {index}": float(index) for index in range(1500)}
    run_id = tracker.record(RunRecord(experiment="pading/big", key="big", params=params, tags=tags, metrics=metrics))
    assert run_id is not None
    data = MlflowClient(server.address).get_run(run_id).data
    assert (data.params, data.metrics) == (params, metrics)
    assert tags.items() <= data.tags.items()


def test_nothing_is_printed_for_each_run(server: Server, as_admin: None, tmp_path: Path, capsys) -> None:
    tracker = patient_tracker(server, tmp_path)
    assert tracker.record(RunRecord(experiment="pading/quiet", key="row"))
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not HAS_ACCOUNTS, reason="flask-wtf, which MLflow's accounts need, is not installed")
def test_without_the_password_rows_wait_and_with_it_they_are_sent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = patient_tracker(server, tmp_path)
    assert tracker.record(RunRecord(experiment="pading/accounts", key="row")) is None
    assert "401" in caplog.text
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    assert tracker.replay(tracker.spool) == 1
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    assert tracker.replay(tracker.spool) == 0
    client = MlflowClient(server.address)
    experiment = client.get_experiment_by_name("pading/accounts")
    assert [run.info.run_name for run in client.search_runs([experiment.experiment_id])] == ["row"]


def test_a_server_answers_to_its_own_name_only(server: Server) -> None:
    """What `--allowed-hosts` is for: a server that is reached by another name than localhost must be told."""
    request = urllib.request.Request(
        f"{server.address}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": "mlflow.example"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 403
    refused.value.close()


def test_postgres_behind_the_server_takes_all_of_a_record(postgres_server: Server, tmp_path: Path) -> None:
    check_full_record(postgres_server, tmp_path)


def test_two_processes_that_record_the_same_runs_make_each_once(postgres_server: Server, tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", WRITER, postgres_server.address, str(tmp_path / f"{name}")] for name in "ab"]
    writers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for command in commands]
    complaints = [writer.communicate(timeout=300)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], complaints
    client = MlflowClient(postgres_server.address)
    runs = client.search_runs([client.get_experiment_by_name("pading/both").experiment_id])
    assert {run.info.run_name: run.data.metrics["pq"] for run in runs} == {f"row {i}": i for i in range(10)}
    assert len(runs) == 10
