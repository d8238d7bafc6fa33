"""The verb `diagnose` on a finished run: files, its MLflow run, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest

from jobs.__main__ import main

NAME = "pading-best-seed0"


@pytest.fixture
def copied_run(smoke_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return shutil.copytree(smoke_run, tmp_path / "copy", ignore=shutil.ignore_patterns("work"))


@pytest.mark.slow
def test_a_run_is_looked_into_and_its_mlflow_run_has_the_page(copied_run: Path) -> None:
    from mlflow import MlflowClient

    assert main(["diagnose", "smoke", "--run-dir", str(copied_run)]) == 0
    folder = copied_run / "diagnostics" / NAME
    names = {"diagnostics.html", "diagnostics.json", "discrepancy.png", "responses.png", "tsne.png"}
    assert {path.name for path in folder.iterdir()} == names
    found = json.loads((folder / "diagnostics.json").read_text())
    assert (found["method"], found["seed"], len(found["classes"])) == ("pading", 0, 33)
    assert {entry["is_seen"] for entry in found["classes"]} == {True, False}
    client = MlflowClient(f"sqlite:///{copied_run / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pading/panoptic")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    attached = {run.data.tags["method"]: client.list_artifacts(run.info.run_id, NAME) for run in runs}
    assert {Path(artifact.path).name for artifact in attached.pop("pading")} == names
    assert not any(attached.values())
    assert "pq/seen" in next(run for run in runs if run.data.tags["method"] == "pading").data.metrics


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "projection"], "'projection' has no generator to look into; choose one of gmmn, wgan, primitive"),
        (["--seed", "7"], "no 'pading' with seed 7 was fitted; there is supervised (best, seed 0)"),
        (["--images", "0"], "--images is 0: look at one image at least"),
    ],
    ids=["no generator", "no seed", "no image"],
)
def test_a_wrong_question_is_one_clear_line(
    arguments: list[str], message: str, smoke_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diagnose", "smoke", "--run-dir", str(smoke_run), *arguments]) == 1
    stderr = capsys.readouterr().err
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert message in stderr


def test_a_folder_without_a_run_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagnose", "smoke", "--run-dir", str(tmp_path)]) == 1
    assert "give the --run-dir of a finished run" in capsys.readouterr().err
