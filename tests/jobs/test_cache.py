"""Stage `cache`, taken up where its driver was killed."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from cluster.storage import RunDir
from jobs.cache import FEATURES, PREDICTIONS, WORK, cache
from jobs.presets import smoke
from tests.runs import linked_run


def test_features_that_are_whole_are_not_made_again(smoke_run: Path, tmp_path: Path) -> None:
    run_dir, folder = RunDir(tmp_path / "run"), tmp_path / "made"
    folder.mkdir()
    kept = shutil.copytree(smoke_run / "cache" / FEATURES, run_dir.work(WORK) / FEATURES)
    linked_run(run_dir.root, smoke_run, ("shards", "segmenter"))
    (run_dir.work(WORK) / f".{PREDICTIONS}.0123abcd.partial").mkdir()  # what was at work
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    counts = cache(smoke(), run_dir, folder)
    assert {path.name: path.stat().st_mtime_ns for path in (folder / FEATURES).iterdir()} == before
    assert counts == json.loads((smoke_run / "cache" / "manifest.json").read_text())["counts"]
    files = [path.name for path in (smoke_run / "cache" / PREDICTIONS).iterdir()]
    assert [path.name for path in (folder / PREDICTIONS).iterdir()] == files
    for name in files:
        made, expected = (pq.read_table(place / PREDICTIONS / name) for place in (folder, smoke_run / "cache"))
        assert made.equals(expected)
    assert list(run_dir.work(WORK).iterdir()) == []
