"""An object store that others have filled: Ray moves objects to disk, and the stages make the same files."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.storage import ROOT
from tests.runs import linked_run

STORE_BYTES = 80_000_000  # Ray takes no less than 75 MiB
PROGRAM = """
import json, sys
import numpy as np
import ray
from cluster.session import connect
from jobs.__main__ import main

connect(num_cpus=2)
capacity = ray.cluster_resources()["object_store_memory"]
held = [ray.put(np.full(2**22, number, dtype=np.float64)) for number in range(5)]  # 168 MB that stay in use
for stage in sys.argv[2:]:
    assert main([stage, "smoke", "--run-dir", sys.argv[1]]) == 0, stage
assert [float(ray.get(one)[-1]) for one in held] == [0.0, 1.0, 2.0, 3.0, 4.0]
print(json.dumps({"capacity": capacity, "held": 5 * 8 * 2**22}))
"""


@pytest.mark.slow
def test_a_full_object_store_changes_no_feature_and_no_classifier(smoke_run: Path, tmp_path: Path) -> None:
    run_dir = linked_run(tmp_path / "run", smoke_run, ("shards", "text", "segmenter", "sweep"))
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES"] = str(STORE_BYTES)
    command = [sys.executable, "-c", PROGRAM, str(run_dir), "cache", "fit"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()[-1]
    assert f'"capacity": {STORE_BYTES}.0, "held": 167772160' in said
    tables = sorted(path.relative_to(smoke_run) for path in (smoke_run / "cache").rglob("*.parquet"))
    weights = sorted(path.relative_to(smoke_run) for path in (smoke_run / "classifiers").rglob("*.safetensors"))
    assert tables
    assert weights
    for name in tables:
        assert pq.read_table(run_dir / name).equals(pq.read_table(smoke_run / name)), name
    for name in weights:
        assert (run_dir / name).read_bytes() == (smoke_run / name).read_bytes(), name
