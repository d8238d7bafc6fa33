"""A sweep that is judged on truly unseen classes, and one that is checked against them after the fact."""

import json
import shutil
from pathlib import Path

import pytest

from jobs.__main__ import main
from pading.evaluate.leaderboard import LEAKY_NOTE, read_leaderboard

WITH_WINNER = {"gmmn", "wgan", "primitive", "primitive+align", "pading", "pading+img"}


@pytest.fixture
def copied_run(smoke_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns("work", "mlflow*", "artifacts"))


@pytest.mark.slow
def test_a_choice_on_unseen_classes_marks_trials_winner_and_the_rows_that_have_it(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    assert json.loads((copied_run / "sweep" / "best.json").read_text())["leaky"] is False
    command = [
        "run",
        "smoke",
        "--run-dir",
        str(copied_run),
        "--sweep.leak-unseen-classes",
        "--from",
        "sweep",
        "--force",
    ]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.count("WARNING: NOT A ZERO-SHOT SWEEP") == 1
    assert "on truly UNSEEN classes, leaky" in said
    assert LEAKY_NOTE in said
    assert json.loads((copied_run / "sweep" / "best.json").read_text())["leaky"] is True
    rows = read_leaderboard(copied_run / "leaderboard.json")
    assert {row["method"] for row in rows if row.get("leaky", False)} == WITH_WINNER
    assert {row["method"] for row in rows if not row.get("leaky", False)} >= {"supervised", "projection", "zegformer"}
    client = MlflowClient(f"sqlite:///{copied_run / 'mlflow.db'}")
    ids = {experiment.name: experiment.experiment_id for experiment in client.search_experiments()}
    assert {run.data.tags["leaky"] for run in client.search_runs([ids["pading/sweep"]])} == {"true"}
    (whole,) = client.search_runs([ids["pading/runs"]])
    assert whole.data.tags["leaky"] == "true"


@pytest.mark.slow
def test_an_objective_is_checked_after_the_fact_and_changes_nothing(
    copied_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--sweep.name", "aside", "--sweep.space", "paper-table-3", "--sweep.schedule", "fifo"]
    assert main(["sweep", "smoke", "--run-dir", str(copied_run), *flags, "--sweep.trials", "8"]) == 0
    before = {path: path.read_bytes() for path in (copied_run / "sweeps" / "aside").iterdir()}
    assert main(["check-sweep", "--run-dir", str(copied_run), "--name", "aside"]) == 0
    assert "rank correlation" in capsys.readouterr().out
    found = json.loads((copied_run / "diagnostics" / "sweeps" / "aside.json").read_text())
    assert set(found["rank_correlation"]) == {f"accuracy/{name}" for name in ("seen", "unseen", "hm", "ausuc")}
    sizes = {trial["settings"]["primitive.num_primitives"] for trial in found["trials"]}
    assert sizes == set(range(100, 801, 100))
    assert before == {path: path.read_bytes() for path in (copied_run / "sweeps" / "aside").iterdir()}


def test_a_sweep_that_cannot_be_checked_is_one_clear_line(
    smoke_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["--run-dir", str(tmp_path)], "no such file"),
        (["--run-dir", str(smoke_run)], "compare three at least"),
        (["--run-dir", str(smoke_run), "--seeds", "0"], "fit each trial once at least"),
        (["--run-dir", str(smoke_run), "--name", "../up"], "no plain name"),
    ):
        assert main(["check-sweep", *arguments]) == 1
        stderr = capsys.readouterr().err
        assert stderr.count("\n") == 1
        assert message in stderr
