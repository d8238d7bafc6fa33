"""Hosts of a cluster that go away in the middle of a stage: a worker's, and the one with Ray's head."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from cluster.storage import ROOT
from tests.cluster.hosts import Host, network
from tests.cluster.ray_hosts import GCS_PORT, node_environment, start_head, start_worker
from tests.marks import BY_REQUEST
from tests.processes import title_of
from tests.runs import linked_run

INPUTS = ("shards", "text", "segmenter", "cache", "sweep")
WAIT_S = 300.0  # on a crowded machine a training begins after minutes
# A host that says nothing is given up within seconds, as is a head that is gone; Ray's own defaults are a minute, and
# seven minutes for a call that waits on a connection which was cut without a word. Nodes and driver need the same time
# between pings: a server that expects them less often ends the connection.
IMPATIENT = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    "RAY_grpc_client_keepalive_time_ms": "5000",
    "RAY_grpc_client_keepalive_timeout_ms": "5000",
}

pytestmark = pytest.mark.slow


@pytest.fixture
def run_dir(smoke_run: Path, tmp_path: Path) -> Path:
    """A run in which all that `fit` reads is there."""
    return linked_run(tmp_path / "run", smoke_run, INPUTS)


def drive(
    host: Host, run_dir: Path, stage: str, *flags: str, settings: Mapping[str, str] = IMPATIENT
) -> subprocess.Popen:
    """Start a stage in a host, as a driver of the cluster whose head is there and has the same settings."""
    program = ROOT / "jobs" / "full_pipeline.py"
    words = [sys.executable, program, "smoke", "--run-dir", run_dir, "--from", stage, "--until", stage, *flags]
    environment = {**node_environment(), **settings, "RAY_ADDRESS": f"{host.address}:{GCS_PORT}"}
    return host.start(words, host.folder / "driver.log", environment)


def processes(host: Host, title: str) -> list[psutil.Process]:
    """Return processes of a host by their title, whoever their parents are."""
    return [process for process in host.processes() if title in title_of(process)]


def wait_until(holds: Callable[[], object], driver: subprocess.Popen, host: Host) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        log = (host.folder / "driver.log").read_text()[-3000:]
        assert driver.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.02)


def finished(run_dir: Path) -> dict[str, int]:
    """Return the fits that are whole, each with its time."""
    return {path.parent.name: path.stat().st_mtime_ns for path in run_dir.glob("work/fit/[!.]*/classifier.json")}


def require_same_classifiers(run_dir: Path, smoke_run: Path) -> None:
    made, expected = (
        {path.relative_to(folder): path.read_bytes() for path in folder.glob("classifiers/*/*.safetensors")}
        for folder in (run_dir, smoke_run)
    )
    assert made == expected


@BY_REQUEST
def test_a_worker_host_that_is_cut_off_and_gone_costs_only_what_it_was_at(
    several_hosts: None, smoke_run: Path, run_dir: Path
) -> None:
    with network("head", "worker") as hosts:
        head, worker = hosts.hosts
        start_head(head, environment=IMPATIENT)
        start_worker(worker, head, environment=IMPATIENT)
        driver = drive(head, run_dir, "fit")
        wait_until(lambda: processes(worker, "ray::_fit_one"), driver, head)
        hosts.cut(worker)
        worker.kill()
        assert driver.wait(WAIT_S) == 0, (head.folder / "driver.log").read_text()[-3000:]
    require_same_classifiers(run_dir, smoke_run)


@BY_REQUEST
def test_a_head_that_is_restarted_ends_the_driver_and_the_same_command_goes_on(
    several_hosts: None, smoke_run: Path, run_dir: Path
) -> None:
    with network("head") as hosts:
        (head,) = hosts.hosts
        start_head(head, cpus=2, environment=IMPATIENT)
        driver = drive(head, run_dir, "fit")
        wait_until(lambda: finished(run_dir), driver, head)
        (store,) = processes(head, "/gcs/gcs_server ")
        store.kill()
        assert driver.wait(WAIT_S) != 0  # it does not wait for ever
        kept = finished(run_dir)
        assert json.loads((run_dir / "status.json").read_text())["state"] in ("running", "failed")
        assert not (run_dir / "classifiers").exists()
        head.clear()  # what is left of the old head
        start_head(head, cpus=2, environment=IMPATIENT)
        driver = drive(head, run_dir, "fit")
        assert driver.wait(WAIT_S) == 0, (head.folder / "driver.log").read_text()[-3000:]
    require_same_classifiers(run_dir, smoke_run)
    times = {path.parent.name: path.stat().st_mtime_ns for path in run_dir.glob("classifiers/*/classifier.json")}
    assert kept.items() <= times.items()


@BY_REQUEST
def test_a_training_whose_machine_is_taken_away_makes_a_checkpoint_at_once_and_goes_on_elsewhere(
    several_hosts: None, smoke_run: Path, tmp_path: Path
) -> None:
    """SIGTERM to Ray on a machine drains it: half a minute until its processes are ended, as on spot machines."""
    epochs, steps_of_epoch = 120, 7  # longer than the half minute
    checkpoint_steps = 41  # no step at which the ranks ask whether they must leave
    run_dir = linked_run(tmp_path / "run", smoke_run, ["shards"])
    with network("head", "taken", "spare") as hosts:
        head, taken, spare = hosts.hosts
        start_head(head, cpus=0)
        start_worker(taken, head, cpus=2)
        flags = ["--pretrain.epochs", str(epochs), "--pretrain.checkpoint-steps", str(checkpoint_steps)]
        driver = drive(head, run_dir, "pretrain", *flags, settings={})
        wait_until(lambda: checkpoints(run_dir), driver, head)
        start_worker(spare, head, cpus=2)
        (ray_of_the_node,) = processes(taken, "ray start")[-1:]
        ray_of_the_node.terminate()
        wait_until(lambda: any(step % checkpoint_steps for step in checkpoints(run_dir)), driver, head)
        wait_until(lambda: processes(spare, "ray::RayTrainWorker"), driver, head)
        assert driver.wait(WAIT_S) == 0, (head.folder / "driver.log").read_text()[-3000:]
    lines = (run_dir / "segmenter" / "history.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))
    assert steps[-1] == epochs * steps_of_epoch


def checkpoints(run_dir: Path) -> list[int]:
    """Return the steps of the checkpoints that are there; one that is being deleted is none."""
    steps = []
    for history in run_dir.glob("work/pretrain/*/checkpoint_*/history.jsonl"):
        try:
            steps.append(json.loads(history.read_text().splitlines()[-1])["step"])
        except (OSError, ValueError, IndexError):
            continue
    return steps
