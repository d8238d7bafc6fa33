"""Ray's workers killed in the middle of a stage: others do their work, and the stage makes the same files."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.__main__ import main
from tests.processes import one_killed
from tests.runs import linked_run

INPUTS = ("shards", "text", "segmenter", "cache", "sweep")


@pytest.mark.parametrize(
    ("stage", "title", "output"),
    [
        ("cache", "MapBatches(FeatureExtractor)).submit", "cache"),
        ("regions", "MapBatches(RegionEncoder)).submit", "regions"),
        ("fit", "ray::_fit_one", "classifiers"),
    ],
)
def test_a_stage_outlives_its_workers(
    stage: str, title: str, output: str, smoke_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_dir = linked_run(tmp_path / "run", smoke_run, (name for name in INPUTS if name != output))
    with one_killed(title) as killed:
        assert main([stage, "smoke", "--run-dir", str(run_dir)]) == 0, capfd.readouterr().err
    assert len(killed) == 1
    tables = sorted(path.relative_to(smoke_run) for path in (smoke_run / output).rglob("*.parquet"))
    weights = sorted(path.relative_to(smoke_run) for path in (smoke_run / output).rglob("*.safetensors"))
    assert tables or weights
    for name in tables:
        assert pq.read_table(run_dir / name).equals(pq.read_table(smoke_run / name)), name
    for name in weights:
        assert (run_dir / name).read_bytes() == (smoke_run / name).read_bytes(), name
