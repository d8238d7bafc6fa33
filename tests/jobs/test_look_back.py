"""`pading leaderboard RUN... [--sync]`."""

import json
import warnings
from pathlib import Path

import pytest

from cluster.spool import Spool
from cluster.storage import RunDir
from jobs.__main__ import main
from jobs.look_back import is_look_back
from jobs.row_records import leaderboard_records
from jobs.tracker import SPOOL, send_all, tracker_of
from tests.jobs.evaluated_run import make_run, row

DEAD = "http://127.0.0.1:9"
ROWS = [row("panoptic", "gmmn", pq_seen=50.0, pq_unseen=30.0, pq_hm=37.5)]

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
)


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def spooled_run(root: Path, monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> RunDir:
    """A run whose rows wait, because the tracker was down."""
    config, run_dir = make_run(root, ROWS, seed=seed)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    assert send_all(tracker_of(run_dir), leaderboard_records(config, run_dir), run_dir) == 2
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    return run_dir


def runs_in(store: str, experiment: str) -> list:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient
    client = MlflowClient(store)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], False),
        (["smoke"], False),
        (["smoke", "--run-dir", "runs/a"], False),
        (["--run-dir", "runs/a"], False),
        (["--help"], False),
        (["runs/a"], True),
        (["runs/a", "runs/b"], True),
        (["--sync"], True),
        (["smoke", "--sync"], True),
        (["smoke", "--run-dir", "runs/a", "--sync"], True),
    ],
)
def test_a_preset_asks_for_the_stage_and_a_directory_for_its_table(arguments: list[str], expected: bool) -> None:
    assert is_look_back(arguments) == expected


def test_the_table_of_one_run_is_printed_as_the_stage_printed_it(tmp_path: Path, capsys) -> None:
    make_run(tmp_path / "a", ROWS)
    assert main(["leaderboard", str(tmp_path / "a")]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith("split shapes: ")
    assert "gmmn    best" in said
    assert "@" not in said


def test_rows_of_several_runs_say_where_they_come_from(tmp_path: Path, capsys) -> None:
    make_run(tmp_path / "one" / "demo", ROWS)
    make_run(tmp_path / "two" / "demo", [row("panoptic", "gmmn", pq_seen=50.0, pq_unseen=40.0, pq_hm=44.4)])
    assert main(["leaderboard", str(tmp_path / "one" / "demo"), str(tmp_path / "two" / "demo")]) == 0
    said = capsys.readouterr().out
    lines = [line.split() for line in said.splitlines() if line.startswith("gmmn")]
    assert [line[2] for line in lines] == ["@two/demo", "@one/demo"]  # the better one first
    assert "44.4*" in said
    assert "37.5*" not in said
    assert f"@one/demo: {tmp_path / 'one' / 'demo'}" in said


def test_runs_of_other_splits_stand_apart(tmp_path: Path, capsys) -> None:
    make_run(tmp_path / "a", ROWS)
    make_run(tmp_path / "b", ROWS)
    table = tmp_path / "b" / "shards" / "classes.json"
    fields = json.loads(table.read_text())
    fields["is_seen"] = [not seen for seen in fields["is_seen"]]
    table.write_text(json.dumps(fields))
    assert main(["leaderboard", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    said = capsys.readouterr().out
    assert sum(line.startswith("split ") for line in said.splitlines()) == 2
    assert said.count("37.5*") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such run directory; name one, or one of the presets smoke, shapes"),
        (["empty"], "leaderboard.json: no such file; run the stage first"),
        (["damaged"], "leaderboard.json is not JSON"),
    ],
)
def test_what_is_no_run_is_one_clear_line(
    arguments: list[str], message: str, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    make_run(tmp_path / "damaged", ROWS)
    (tmp_path / "damaged" / "leaderboard.json").write_text("{")
    assert main(["leaderboard", *arguments]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert message in stderr


def test_sync_sends_what_several_runs_missed_and_doubles_nothing(
    store: str, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [spooled_run(tmp_path / name, monkeypatch, seed) for seed, name in enumerate("ab")]
    kept = (tmp_path / "a" / SPOOL).read_bytes()
    assert f"pading leaderboard {tmp_path / 'a'} --sync" in capsys.readouterr().out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    command = ["leaderboard", *(str(run_dir.root) for run_dir in runs), "--sync"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'a'}: 2 of 2 runs sent to MLflow at {store}" in said
    assert "37.5" in said
    (tmp_path / "a" / SPOOL).write_bytes(kept)
    assert main(command) == 0
    assert f"{tmp_path / 'b'}: nothing waits for MLflow" in capsys.readouterr().out
    assert len(runs_in(store, "pading/panoptic")) == len(runs_in(store, "pading/runs")) == 2
    parents = {run.info.run_id for run in runs_in(store, "pading/runs")}
    assert {run.data.tags["mlflow.parentRunId"] for run in runs_in(store, "pading/panoptic")} == parents
    assert not (tmp_path / "a" / SPOOL).exists()


def test_rows_that_still_wait_are_a_failure(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = spooled_run(tmp_path / "a", monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    assert main(["leaderboard", str(run_dir.root), "--sync"]) == 1
    said = capsys.readouterr()
    assert "0 of 2 runs sent" in said.out
    assert "MLflow did not take 2 runs" in said.err
    assert len(Spool(tmp_path / "a" / SPOOL).records()) == 2


def test_rows_that_were_meant_for_a_server_do_not_go_elsewhere_unasked(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = spooled_run(tmp_path / "a", monkeypatch)
    assert main(["leaderboard", "smoke", "--run-dir", str(run_dir.root), "--sync"]) == 1
    assert f"its runs are meant for {DEAD}; set MLFLOW_TRACKING_URI to that" in capsys.readouterr().err
    assert not (tmp_path / "a" / "mlflow.db").exists()


def test_the_store_is_the_run_directorys_own_unless_the_environment_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = RunDir(tmp_path)
    assert tracker_of(run_dir).uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert tracker_of(run_dir).artifacts == tmp_path / "artifacts"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://db/mlflow")
    assert tracker_of(run_dir).uri == "postgresql://db/mlflow"
    assert tracker_of(run_dir).artifacts == tmp_path / "artifacts"  # never in the working folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert tracker_of(run_dir).uri.startswith("sqlite:")
