"""What docs/security.md promises of files: what is read does not run, names do not lead elsewhere, secrets stay."""

import ast
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import pytest
import torch

from cluster.storage import ROOT, RunDir, plain_name, write_json
from jobs.__main__ import main
from jobs.clip import load_clip
from jobs.engine import STATE_FILE
from jobs.fit import fitted_rows
from jobs.parquet import read_parquet
from pading.data.shards.rows import SHARD_SCHEMA, read_rows
from pading.evaluate.predictions import PREDICTION_SCHEMA, read_predictions
from pading.evaluate.score_files import read_scores
from pading.segmenter.timm_backbone import _read
from pading.segmenter.weights import load_segmenter
from pading.splits.published import find_split
from pading.text.embeddings import TextEmbeddings
from pading.text.files import load_text_files
from pading.zeroshot.classifier import load_classifier, save_classifier
from pading.zeroshot.features import feature_schema, read_features
from pading.zeroshot.generator_files import load_generator
from tests.references.malicious_pickle import as_npy, as_npz, as_parquet, as_raw_pickle, as_torch_file

SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-password",
    "AWS_SECRET_ACCESS_KEY": "planted/aws+secret",
    "HF_TOKEN": "planted-hub-token",
    "PADING_TEST_API_KEY": "planted-api-key",
}


def embeddings_npz(folder: Path, marker: Path) -> None:
    as_npz(folder / "e.npz", marker, ("names", "templates", "model", "matrix"))
    TextEmbeddings.load(folder / "e.npz")


def embeddings_npy(folder: Path, marker: Path) -> None:
    as_npy(folder / "e.npy", marker)
    load_text_files(str(folder / "e.npy"), "", find_split("shapes-panoptic").classes)


def scores_npz(folder: Path, marker: Path) -> None:
    as_npz(folder / "s.npz", marker, ("schema", "0/pairs", "0/counts"))
    read_scores(folder / "s.npz", "panoptic", 3)


def features_parquet(folder: Path, marker: Path) -> None:
    as_parquet(folder / "f.parquet", marker, feature_schema(3))
    read_features([folder / "f.parquet"])


def predictions_parquet(folder: Path, marker: Path) -> None:
    as_parquet(folder / "p.parquet", marker, PREDICTION_SCHEMA)
    list(read_predictions(folder / "p.parquet"))


def shard_parquet(folder: Path, marker: Path) -> None:
    as_parquet(folder / "s.parquet", marker, SHARD_SCHEMA)
    list(read_rows(folder / "s.parquet"))


def shard_by_ray(folder: Path, marker: Path) -> None:
    as_parquet(folder / "s.parquet", marker, SHARD_SCHEMA)
    read_parquet([folder / "s.parquet"])


def backbone_weights(folder: Path, marker: Path) -> None:
    as_torch_file(folder / "w.pt", marker)
    _read(folder / "w.pt")


def backbone_weights_of_old(folder: Path, marker: Path) -> None:
    as_raw_pickle(folder / "w.pth", marker)
    _read(folder / "w.pth")


def backbone_weights_disguised(folder: Path, marker: Path) -> None:
    as_torch_file(folder / "w.safetensors", marker)
    _read(folder / "w.safetensors")


def clip_weights(folder: Path, marker: Path) -> None:
    as_torch_file(folder / "clip.pt", marker)
    load_clip("RN50", str(folder / "clip.pt"))


def classifier_weights(folder: Path, marker: Path) -> None:
    from pading.zeroshot.classifier import LinearClassifier

    save_classifier(folder, LinearClassifier(torch.ones(3, 2), torch.ones(3)))
    as_raw_pickle(folder / "classifier.safetensors", marker)
    load_classifier(folder)


def generator_weights(folder: Path, marker: Path) -> None:
    as_torch_file(folder / "generator.safetensors", marker)
    (folder / "generator.json").write_text('{"schema": 1, "kind": "gmmn", "config": {}, "text_width": 2, "width": 2}')
    load_generator(folder)


def segmenter_weights(folder: Path, marker: Path) -> None:
    as_torch_file(folder / "weights.safetensors", marker)
    (folder / "config.json").write_text("{}")
    load_segmenter(folder)


def training_checkpoint(folder: Path, marker: Path) -> None:
    as_torch_file(folder / STATE_FILE, marker)
    torch.load(folder / STATE_FILE, weights_only=True)


SLOTS: list[Callable[[Path, Path], None]] = [
    embeddings_npz,
    embeddings_npy,
    scores_npz,
    features_parquet,
    predictions_parquet,
    shard_parquet,
    shard_by_ray,
    backbone_weights,
    backbone_weights_of_old,
    backbone_weights_disguised,
    clip_weights,
    classifier_weights,
    generator_weights,
    segmenter_weights,
    training_checkpoint,
]


@pytest.mark.parametrize("slot", SLOTS, ids=lambda slot: slot.__name__)
def test_a_planted_pickle_is_refused_and_does_not_run(slot: Callable[[Path, Path], None], tmp_path: Path) -> None:
    import ray.data  # noqa: F401 - makes pyarrow know the type that unpickles

    marker = tmp_path / "it_ran"
    with pytest.raises((ValueError, OSError, UnpicklingError)):
        slot(tmp_path, marker)
    assert not marker.exists()


def test_the_planted_pickles_do_run_where_pickle_is_allowed(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    import pyarrow.parquet as pq

    as_torch_file(tmp_path / "w.pt", tmp_path / "torch_ran")
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert (tmp_path / "torch_ran").is_dir()
    as_parquet(tmp_path / "f.parquet", tmp_path / "arrow_ran", feature_schema(3))
    pq.read_table(tmp_path / "f.parquet").slice(0, 1).column(0).to_pylist()
    assert (tmp_path / "arrow_ran").is_dir()


@pytest.mark.slow
def test_a_pickle_in_a_checkpoint_of_deepspeed_does_not_run(tmp_path: Path) -> None:
    """DeepSpeed asks torch for everything that pickle can do."""
    as_torch_file(tmp_path / "shard.pt", tmp_path / "it_ran")
    script = (
        "import sys, torch\n"
        "from jobs.zero import import_deepspeed\n"
        "import_deepspeed()\n"
        "torch.load(sys.argv[1], weights_only=False)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "shard.pt")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert "UnpicklingError" in done.stderr
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", "..", ".", "", "a\\b", 3, None, "a\0b"])
def test_a_name_that_leads_elsewhere_is_no_name(name: object) -> None:
    with pytest.raises(ValueError, match="is no plain name"):
        plain_name(name)
    assert plain_name("pading-best-seed0") == "pading-best-seed0"


@pytest.mark.parametrize("folder", ["../../elsewhere", "/etc", "..", 7])
def test_an_index_of_classifiers_cannot_name_a_folder_elsewhere(folder: object, tmp_path: Path) -> None:
    (tmp_path / "classifiers").mkdir()
    write_json(tmp_path / "classifiers" / "classifiers.json", {"rows": [{"folder": folder}]})
    with pytest.raises(
        ValueError, match=r"classifiers\.json: is no index of classifiers .*; run the stage 'fit' again"
    ):
        fitted_rows(RunDir(tmp_path))


def test_a_model_cannot_name_a_run_that_is_not_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`model.json` names the run that it is taught from; a folder without that run's cache is refused."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_json(tmp_path / "model.json", {"schema": 1, "run": str(elsewhere)})
    assert main(["teach", "zebra", "--model", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "model.json" in errors
    assert list(elsewhere.iterdir()) == []


def png_that_claims(side: int) -> bytes:
    """Return a PNG of a few bytes whose header says that it is a square of this side."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_000, 60_000])
def test_predict_refuses_a_photo_that_claims_to_be_huge(
    side: int, smoke_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bomb.png").write_bytes(png_that_claims(side))
    words = ["predict", str(tmp_path / "bomb.png"), "--model", str(smoke_run), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert re.search(r"^error: .*bomb\.png.*pixels", capsys.readouterr().err, re.MULTILINE)


def test_a_run_keeps_and_shows_no_secret(
    smoke_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A tracker that does not answer, behind a password; a stage that fails with one in its words."""
    run_dir = shutil.copytree(
        smoke_run, tmp_path / "run", ignore=shutil.ignore_patterns("work", "artifacts", "mlflow.db")
    )
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:planted-in-an-address@127.0.0.1:9")
    assert main(["leaderboard", "smoke", "--run-dir", str(run_dir), "--force"]) == 0
    secret_place = f"s3://bucket/{SECRETS['AWS_SECRET_ACCESS_KEY']}/e.npz"
    failing = ["--embed.file", secret_place, "--from", "embed", "--until", "embed", "--force"]
    assert main(["run", "smoke", "--run-dir", str(run_dir), *failing]) == 1
    said = capfd.readouterr()
    shown = said.out + said.err
    assert "127.0.0.1:9" in shown
    for path in [path for path in run_dir.rglob("*") if path.is_file() and path.name != "config.json"]:
        shown += path.read_bytes().decode(errors="ignore")
    assert (run_dir / "error.log").is_file()
    planted = [*SECRETS.values(), "planted-in-an-address"]
    assert [secret for secret in planted if secret in shown] == []


def test_every_promise_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    assert len(named) >= 15
    for file, name in named:
        functions = {
            node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)
        }
        assert name in functions, (file, name)
    for line in page.splitlines():
        if line.startswith("| ") and not line.startswith("| promise") and "---" not in line:
            assert "`tests/" in line, line
