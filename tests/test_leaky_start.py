"""A run that starts from weights that knew unseen classes: the mark reaches every row, whatever is skipped."""

import json
import re
import shutil
from pathlib import Path

import pytest

from jobs.__main__ import main
from pading.evaluate.leaderboard import LEAKY_NOTE, read_leaderboard
from pading.segmenter.provenance import Provenance, read_provenance

METHODS = {"supervised", "projection", "gmmn", "wgan", "primitive", "primitive+align", "pading"}
METHODS |= {"zegformer-seg", "zegformer-img", "zegformer", "zegformer-pooled", "pading+img"}


@pytest.fixture(scope="module")
def source(smoke_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The segmenter of the finished run, with papers that say it was trained on every class."""
    folder = tmp_path_factory.mktemp("source") / "segmenter"
    assert main(["export", "--run-dir", str(smoke_run), "--what", "segmenter", "--output", str(folder)]) == 0
    classes = json.loads((folder / "classes.json").read_text())
    classes["is_seen"] = [True] * len(classes["names"])
    (folder / "classes.json").write_text(json.dumps(classes))
    return folder


def test_a_random_start_leaves_no_mark(smoke_run: Path) -> None:
    assert read_provenance(smoke_run / "segmenter") == Provenance()
    assert not any("leaky" in row for row in read_leaderboard(smoke_run / "leaderboard.json"))
    assert "Segmenter started from random weights." in (smoke_run / "leaderboard.md").read_text()
    assert "†" not in (smoke_run / "leaderboard.md").read_text()


@pytest.mark.slow
def test_the_mark_reaches_every_row_page_and_tag(
    smoke_run: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = shutil.copytree(smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns("work", "artifacts"))
    command = ["run", "smoke", "--run-dir", str(run_dir), "--pretrain.init-from", str(source)]
    capsys.readouterr()
    assert main([*command, "--from", "pretrain", "--until", "pretrain", "--force"]) == 0
    said = capsys.readouterr().out
    assert said.count("WARNING: NOT A ZERO-SHOT RUN") == 1
    provenance = read_provenance(run_dir / "segmenter")
    classes = json.loads((run_dir / "segmenter" / "classes.json").read_text())
    unseen = [name for name, is_seen in zip(classes["names"], classes["is_seen"], strict=True) if not is_seen]
    assert provenance.leaky
    assert list(provenance.unseen_names) == unseen
    assert provenance.num_kept == len(classes["names"]) - len(unseen)
    assert not (run_dir / "work" / "pretrain").exists()

    # later stages neither train nor know the source; the earlier ones are skipped
    assert main([*command, "--from", "evaluate", "--force"]) == 0
    rows = read_leaderboard(run_dir / "leaderboard.json")
    assert {row["method"] for row in rows} == METHODS
    assert all(row["leaky"] is True for row in rows)
    markdown, page = ((run_dir / f"leaderboard.{end}").read_text() for end in ("md", "html"))
    tables = re.findall(r"<table class='sortable filtered scores'.*?</table>", page, re.DOTALL)
    assert markdown.count(" † |") == sum(table.count(" †</td>") for table in tables) == 3 * len(METHODS)
    assert len(tables) == 3  # one for each task
    assert LEAKY_NOTE in markdown
    assert LEAKY_NOTE in page
    assert f"Segmenter started from {provenance.line}." in markdown
    assert LEAKY_NOTE in capsys.readouterr().out
    tags = [run.data.tags for run in runs_of(run_dir)]
    # the copied store holds those of the run that it was copied from too
    assert sorted(tag["leaky"] for tag in tags) == ["false"] * len(METHODS) + ["true"] * len(METHODS)

    assert main([*command, "--from", "leaderboard"]) == 0  # skipped
    assert all(row["leaky"] for row in read_leaderboard(run_dir / "leaderboard.json"))
    (source / "provenance.json").write_text(json.dumps({"leaky": True, "reason": "so"}))
    assert main([*command, "--from", "pretrain", "--until", "pretrain"]) == 1
    assert "input init_from:provenance.json" in capsys.readouterr().err


def runs_of(run_dir: Path) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{run_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pading/panoptic")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))
