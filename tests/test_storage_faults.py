"""Storage that is full, read-only or damaged: one line with a remedy, and what was finished is there afterwards."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.storage import RunDir
from jobs.__main__ import main
from tests.disks import Disk, small_disk
from tests.marks import BY_REQUEST
from tests.runs import linked_run

ARTEFACTS = [
    "shapes",
    "verify",
    "shards",
    "text",
    "segmenter",
    "cache",
    "regions",
    "sweep",
    "classifiers",
    "evaluation",
]
OUTPUTS = {"shard": "shards", "pretrain": "segmenter", "cache": "cache", "fit": "classifiers", "evaluate": "evaluation"}
KILOBYTE = 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", megabytes=64) as disk:
        yield disk


def run_before(stage: str, finished: Path, run_dir: Path) -> Path:
    """Make a run directory in which all stages before this one are finished, without a copy of what they made."""
    return linked_run(run_dir, finished, ARTEFACTS[: ARTEFACTS.index(OUTPUTS[stage])])


def copy_of(finished: Path, folder: Path) -> Path:
    return shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("work", "mlflow*", "artifacts"))


def do(stage: str, run_dir: Path) -> int:
    # Ray Train starts workers again that failed, which finds no more room; it is no setting of the artefact.
    flags = ["--pretrain.max-failures", "0"] if stage == "pretrain" else []
    return main([stage, "smoke", "--run-dir", str(run_dir), *flags])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was said in the end, without what Ray shows of its workers' output."""
    lines = [line for line in capsys.readouterr().err.splitlines() if " pid=" not in line]
    assert [line[:7] for line in lines] == ["error: "]
    return lines[0]


def numbers_of(stage: str, run_dir: Path) -> object:
    """Return what a stage made, without what depends on the clock or on where it lies."""
    folder = run_dir / OUTPUTS[stage]
    if stage == "evaluate":
        return json.loads((folder / "rows.json").read_text())
    if stage == "fit":
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.suffix in (".safetensors", ".json") and path.name != "manifest.json"
        }
    if stage == "pretrain":
        return (folder / "weights.safetensors").read_bytes()
    return [(folder / part / "index.json").read_text() for part in ("train", "val")]


@pytest.mark.parametrize(
    ("stage", "left"),
    [
        ("shard", 250 * KILOBYTE),
        pytest.param("pretrain", 500 * KILOBYTE, marks=BY_REQUEST),
        ("fit", 700 * KILOBYTE),
        ("evaluate", 500 * KILOBYTE),
    ],
)
def test_a_full_disk_is_said_in_one_line_and_the_stage_goes_on_once_there_is_room(
    stage: str, left: int, smoke_run: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = run_before(stage, smoke_run, disk.root / "run")
    disk.leave(left)
    capsys.readouterr()
    assert do(stage, run_dir) == 1
    said = one_line(capsys)
    assert "No space left on device" in said or "PytorchStreamWriter" in said
    assert f"make room (left: {run_dir} " in said
    assert "then say the same command again; what was finished is kept" in said
    assert [path for path in run_dir.iterdir() if OUTPUTS[stage] in path.name] == []
    status = json.loads((run_dir / "status.json").read_text())
    assert status["state"] == "failed"
    assert status["stages"][0]["error"] in said

    finished = {path: path.stat().st_mtime_ns for path in (run_dir / "work" / stage).rglob("*.safetensors")}
    disk.empty()
    assert do(stage, run_dir) == 0
    assert numbers_of(stage, run_dir) == numbers_of(stage, smoke_run)
    if stage == "fit":  # those that were finished were not fitted again
        kept = {path: time for path, time in finished.items() if ".partial" not in str(path)}
        assert kept
        for path, time in kept.items():
            assert (run_dir / OUTPUTS[stage] / path.parent.name / path.name).stat().st_mtime_ns == time


def test_a_disk_that_cannot_be_written_to_is_said_and_what_only_reads_works(
    smoke_run: Path, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = copy_of(smoke_run, disk.root / "run")
    shutil.rmtree(run_dir / "evaluation")
    disk.allow_writing(False)
    capsys.readouterr()
    assert do("evaluate", run_dir) == 1
    said = one_line(capsys)
    assert "Read-only file system" in said
    assert f"allow writing where {run_dir} lies, then say the same command again" in said
    for command in (["leaderboard", str(run_dir)], ["run", "smoke", "--run-dir", str(run_dir), "--dry-run"]):
        assert main(command) == 0, command
    disk.allow_writing(True)
    assert do("evaluate", run_dir) == 0
    assert numbers_of("evaluate", run_dir) == numbers_of("evaluate", smoke_run)


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("stage", "pattern"),
    [
        ("pretrain", "shards/train/*.parquet"),
        ("cache", "shards/train/*.parquet"),
        ("cache", "shards/val/*.parquet"),
        ("cache", "segmenter/weights.safetensors"),
        ("fit", "cache/features/*.parquet"),
        ("fit", "text/embeddings.npz"),
        ("fit", "sweep/best.json"),
        ("evaluate", "cache/predictions/*.parquet"),
        ("evaluate", "regions/crop+mask.parquet"),
        ("evaluate", "classifiers/pading-best-seed0/classifier.safetensors"),
        ("leaderboard", "evaluation/rows.json"),
    ],
)
def test_one_flipped_bit_between_two_stages_stops_the_second_and_names_the_file(
    stage: str, pattern: str, smoke_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = copy_of(smoke_run, tmp_path / "run")
    shutil.rmtree(run_dir / (OUTPUTS | {"leaderboard": "leaderboard"})[stage])
    (file,) = sorted(run_dir.glob(pattern))[:1]
    flip_a_bit(file)
    capsys.readouterr()
    assert do(stage, run_dir) == 1
    said = one_line(capsys)
    assert str(file) in said
    assert any(remedy in said for remedy in ("again", "--force"))


def test_a_second_pipeline_in_a_run_directory_is_refused_and_changes_nothing(
    smoke_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = copy_of(smoke_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in run_dir.glob("*.json")}
    with RunDir(run_dir).locked():
        assert do("evaluate", run_dir) == 1
    assert "another pipeline is at work" in one_line(capsys)
    assert before == {path: path.read_bytes() for path in run_dir.glob("*.json")}
    assert not (run_dir / "error.log").exists()
    assert do("evaluate", run_dir) == 0  # up to date: the lock went with its process
