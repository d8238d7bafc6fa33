"""The pipeline over hosts with networks of their own: a head, workers, MLflow; sent from a machine beside them.

Two hosts and shards in files by default. `PADING_TEST_HOSTS=3` asks for more hosts, `PADING_TEST_S3=moto_server` (or
where that program lies) for shards in a bucket, on a host of its own.
"""

import json
import os
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cluster.storage import ROOT
from pading.evaluate.leaderboard import read_leaderboard
from tests.cluster.hosts import Host, network
from tests.cluster.ray_hosts import TOKEN, actor_places, dashboard_of, start_head, start_worker
from tests.cluster.tracking_servers import wait_for

NUM_HOSTS = int(os.environ.get("PADING_TEST_HOSTS", "2"))
S3_SERVER = os.environ.get("PADING_TEST_S3", "")
TRACKER_PORT, S3_PORT = 5000, 9000
ACCOUNT = {"AWS_ACCESS_KEY_ID": "planted-key", "AWS_SECRET_ACCESS_KEY": "planted-word"}

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.filterwarnings("default")]


class Hosts(NamedTuple):
    nodes: list[Host]  # the head first
    tracker: str
    shards: str  # a location that every node reaches


@pytest.fixture(scope="module")
def hosts(several_hosts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A cluster whose nodes know by their environment where MLflow is, and how to get into the bucket."""
    names = ["head", *(f"worker{number}" for number in range(1, NUM_HOSTS))]
    with network(*names, "tracker") as made:
        *nodes, tracker = made.hosts
        address = start_tracker(tracker, tmp_path_factory.mktemp("tracker"))
        shards = start_bucket(made.add("objects")) if S3_SERVER else f"file://{tmp_path_factory.mktemp('shards')}"
        environment = {"MLFLOW_TRACKING_URI": address, **ACCOUNT}
        start_head(nodes[0], cpus=2, environment=environment)
        for node in nodes[1:]:
            start_worker(node, nodes[0], cpus=2, environment=environment)
        yield Hosts(nodes, address, shards)


def start_tracker(host: Host, folder: Path) -> str:
    """Start an MLflow server in a host and return its address."""
    address = f"http://{host.address}:{TRACKER_PORT}"
    words = ["-m", "mlflow", "server", "--host", "0.0.0.0", "--port", str(TRACKER_PORT), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]
    words += ["--allowed-hosts", f"{host.address}:{TRACKER_PORT}"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "OMP_NUM_THREADS": "1"}
    process = host.start([sys.executable, *words], folder / "server.log", {**os.environ, **quiet})
    wait_for(f"{address}/health", process, folder / "server.log")
    return address


def start_bucket(host: Host) -> str:
    """Start an S3 server with a bucket in a host and return the location of a folder there."""
    log = host.folder / "server.log"
    address = f"http://{host.address}:{S3_PORT}"
    process = host.start([S3_SERVER, "-H", "0.0.0.0", "-p", str(S3_PORT)], log, dict(os.environ))
    wait_for(f"{address}/moto-api/", process, log)
    urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT"), timeout=30).close()
    return f"s3://bucket/shards?scheme=http&region=us-east-1&endpoint_override={host.address}:{S3_PORT}"


@pytest.fixture(scope="module")
def sent(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run that was sent to the cluster by `pading submit`: its folder, and what was said."""
    run_dir = tmp_path_factory.mktemp("hosts") / "run"
    submit = ["-m", "jobs", "submit", "--address", dashboard_of(hosts.nodes[0]), "--working-dir", str(ROOT), "--"]
    run = [sys.executable, "jobs/full_pipeline.py", "smoke", "--run-dir", str(run_dir), "--data.shards", hosts.shards]
    # More than half of a host for each training worker, so that no two fit on one.
    spread = ["--pretrain.cpus-per-worker", "1.5"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    variables = {**inherited, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    done = subprocess.run(
        [sys.executable, *submit, *run, *spread], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=1500
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return run_dir, done.stdout + done.stderr


def test_a_run_is_placed_on_several_hosts_and_succeeds(hosts: Hosts, sent: tuple[Path, str]) -> None:
    run_dir, said = sent
    assert "the cluster can place every stage" in said
    assert json.loads((run_dir / "status.json").read_text())["state"] == "succeeded"
    trained_on = actor_places(dashboard_of(hosts.nodes[0]), "RayTrainWorker")
    assert len(trained_on) == len(set(trained_on)) == 2
    assert set(trained_on) <= {node.address for node in hosts.nodes}
    assert [secret for secret in (TOKEN, *ACCOUNT.values()) if secret in said] == []


def test_hosts_give_weights_and_leaderboard_of_one_machine(sent: tuple[Path, str], smoke_run: Path) -> None:
    run_dir, _ = sent
    weights = [folder / "segmenter" / "weights.safetensors" for folder in (smoke_run, run_dir)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    here, there = (read_leaderboard(folder / "leaderboard.json") for folder in (smoke_run, run_dir))
    assert here == there


def test_the_tracker_on_its_own_host_has_every_row(hosts: Hosts, sent: tuple[Path, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient
    run_dir, _ = sent
    client = MlflowClient(hosts.tracker)
    rows = read_leaderboard(run_dir / "leaderboard.json")
    for task in ("panoptic", "semantic", "instance"):
        experiment = client.get_experiment_by_name(f"pading/{task}")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        expected = [row["method"] for row in rows if row["task"] == task]
        assert sorted(run.data.tags["method"] for run in runs) == sorted(expected)
    assert not (run_dir / "mlflow_spool.jsonl").exists()
    assert not (run_dir / "mlflow.db").exists()
