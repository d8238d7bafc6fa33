"""The ablation at toy size on the finished run: what it writes, that it goes on where it was, and what failing does."""

import json
import shutil
from pathlib import Path

import pytest

from jobs.__main__ import main
from pading.evaluate.ablation_pages import PAGES
from pading.evaluate.leaderboard import read_leaderboard
from pading.zeroshot.methods import METHODS

pytestmark = pytest.mark.slow
SEEDS = 2
# `smoke` fits for twenty steps; the default of lambda is one of the curve's six values, and PADing is in both tables.
TABLES, NUM_VARIANTS = "rows,lambda", len(METHODS) + 5


def run(run_dir: Path, *flags: str, tables: str = TABLES) -> int:
    command = ["ablate", "smoke", "--run-dir", str(run_dir), "--seeds", str(SEEDS), "--tables", tables]
    return main([*command, "--resamples", "50", *flags])


@pytest.fixture(scope="module")
def ablated(smoke_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run with its ablation."""
    copy = tmp_path_factory.mktemp("ablate") / "run"
    shutil.copytree(smoke_run, copy, ignore=shutil.ignore_patterns("work"))
    assert run(copy) == 0
    return copy


def report_of(run_dir: Path) -> dict:
    return json.loads((run_dir / "ablation" / "ablation.json").read_text())


def fits_of(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "work" / "ablation" / "fits").iterdir())


def mlflow_runs(run_dir: Path) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pading/panoptic")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    return [run for run in runs if run.data.tags["stage"] == "ablate"]


def test_every_table_is_written_with_every_variant_and_seed(ablated: Path) -> None:
    assert {path.name for path in (ablated / "ablation").iterdir()} == set(PAGES)
    report = report_of(ablated)
    assert [table["name"] for table in report["tables"]] == ["rows", "lambda"]
    assert [line["label"] for line in report["tables"][0]["lines"]] == list(METHODS)
    assert [line["label"] for line in report["tables"][1]["lines"]] == ["0", "0.0001", "0.001", "0.01", "0.1", "1"]
    assert len(report["variants"]) == NUM_VARIANTS
    assert all(variant["seeds"] == [0, 1] and not variant["failures"] for variant in report["variants"])
    assert len(fits_of(ablated)) == NUM_VARIANTS * SEEDS
    assert not (ablated / "work" / "ablation" / "scoring").exists()


def test_a_fit_of_the_ablation_scores_what_the_pipeline_says(ablated: Path) -> None:
    """`supervised` has no randomness and no settings: the leaderboard has it too."""
    row = next(row for row in read_leaderboard(ablated / "leaderboard.json") if row["method"] == "supervised")
    variant = report_of(ablated)["variants"][0]
    for metrics in variant["metrics"]:
        for name, value in metrics.items():
            assert value == pytest.approx(row["metrics"][name], abs=1e-9), name


def test_mlflow_has_a_parent_and_a_child_for_each_fit(ablated: Path) -> None:
    runs = mlflow_runs(ablated)
    children = [one for one in runs if "mlflow.parentRunId" in one.data.tags]
    (parent,) = [one for one in runs if one not in children]
    assert {one.data.tags["mlflow.parentRunId"] for one in children} == {parent.info.run_id}
    assert len(children) == NUM_VARIANTS * SEEDS
    assert {one.data.tags["method"] for one in children} == set(METHODS)
    whole = [one.data.tags["lines"] for one in children if "rows=pading" in one.data.tags["lines"]]
    assert whole == ["rows=pading lambda=0.01"] * SEEDS
    assert all("pq/seen" in one.data.metrics for one in children)


def test_the_same_command_again_fits_nothing_scores_nothing_and_doubles_nothing(
    ablated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [path for folder in fits_of(ablated) for path in folder.iterdir()]
    before = {path: path.stat().st_mtime_ns for path in files}
    pages = {page: (ablated / "ablation" / page).read_bytes() for page in PAGES}
    assert run(ablated) == 0
    said = capsys.readouterr().out
    assert f"{NUM_VARIANTS * SEEDS} are there already" in said
    assert "fits:" not in said
    assert "score" not in said
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert pages == {page: (ablated / "ablation" / page).read_bytes() for page in PAGES}
    assert len(mlflow_runs(ablated)) == 1 + NUM_VARIANTS * SEEDS


def test_a_fit_that_was_lost_is_made_again_with_the_same_numbers(
    ablated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One whole fit, and the scores of another, are gone; a third was being written."""
    copy = shutil.copytree(ablated, tmp_path / "run")
    before = report_of(copy)
    lost, unscored, *_ = fits_of(copy)
    shutil.rmtree(lost)
    next(unscored.glob("scores-*.npz")).unlink()
    lost.with_name(f".{lost.name}.0123abcd.partial").mkdir()
    assert run(copy) == 0
    assert "fits: 1/1" in (said := capsys.readouterr().out)
    assert not list(lost.parent.glob(".*.partial"))
    assert "score 2 rows" in said
    after = report_of(copy)
    for name in ("tables", "published"):
        assert after[name] == before[name]
    for first, second in zip(before["variants"], after["variants"], strict=True):
        assert first | {"fit_seconds": 0} == second | {"fit_seconds": 0}


def test_a_failed_variant_is_reported_and_stops_no_other(
    ablated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seven heads do not divide the features' width: every generator with attention fails, the others do not."""
    copy = shutil.copytree(ablated, tmp_path / "run")
    assert run(copy, "--method.primitive.heads", "7", tables="rows") == 1
    stderr = capsys.readouterr().err
    assert f"{3 * SEEDS} of {len(METHODS) * SEEDS} fits failed" in stderr
    report = report_of(copy)
    failed = {variant["method"] for variant in report["variants"] if variant["failures"]}
    assert failed == {"primitive", "primitive+align", "pading"}
    assert all("7 heads" in reason for one in report["variants"] for reason in one["failures"].values())
    assert all(bool(one["mean"]) != (one["method"] in failed) for one in report["variants"])
    assert "7 heads" in (copy / "ablation" / "ablation.md").read_text()
    assert "7 heads" in (copy / "ablation" / "ablation.html").read_text()


def test_other_settings_of_an_earlier_stage_are_refused_and_nothing_is_written(
    ablated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in ablated.iterdir()}
    assert run(ablated, "--cache.no-object-per-image", "3") == 1
    assert "no_object_per_image: 4 -> 3" in capsys.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in ablated.iterdir() if path.name != "error.log"}
    assert after == {path: time for path, time in before.items() if path.name != "error.log"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [(("--tables", "rows,colours"), "no ablation table 'colours'"), (("--seeds", "0"), "--seeds 0")],
)
def test_flags_that_mean_nothing_are_refused(
    flags: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ablate", "smoke", "--run-dir", str(tmp_path / "run"), *flags]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
