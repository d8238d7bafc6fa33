"""Ray with token authentication in hosts of their own; a worker's host can be cut off, or ended with all it runs."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.hosts import Host

TOKEN = "0123456789abcdef0123456789abcdef"
START_S = 180.0  # it takes ten on an idle machine
GCS_PORT, DASHBOARD_PORT = 6379, 8265
OBJECT_STORE_BYTES = 150_000_000


def start_head(
    host: Host, *, cpus: int = 1, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> str:
    """Start a head that takes jobs, and return the address of its dashboard."""
    words = ["--head", f"--port={GCS_PORT}", f"--dashboard-host={host.address}", *options]
    process = _start(host, words, cpus, environment)
    address = f"http://{host.address}:{DASHBOARD_PORT}"
    wait_for_nodes(address, 1, process, host)
    return address


def start_worker(
    host: Host,
    head: Host,
    *,
    cpus: int = 1,
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Start a node that joins a head, and wait until the head knows it."""
    address = f"http://{head.address}:{DASHBOARD_PORT}"
    before = len(alive_nodes(address))
    process = _start(host, [f"--address={head.address}:{GCS_PORT}", *options], cpus, environment)
    wait_for_nodes(address, before + 1, process, host)


def alive_nodes(dashboard: str) -> list[str]:
    """Return the addresses of a cluster's nodes that its head believes to be alive."""
    request = urllib.request.Request(f"{dashboard}/nodes?view=summary", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        nodes = json.load(answer)["data"]["summary"]
    return [node["raylet"]["nodeManagerAddress"] for node in nodes if node["raylet"].get("state") == "ALIVE"]


def wait_for_nodes(dashboard: str, count: int, process: subprocess.Popen, host: Host) -> None:
    """Wait until a cluster has so many nodes; fail with the log of the host that is starting."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            if len(alive_nodes(dashboard)) >= count:
                return
        except (OSError, urllib.error.HTTPError, KeyError):
            pass  # not yet
        log = (host.folder / "ray.log").read_text()[-3000:]
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.3)


def node_environment() -> dict[str, str]:
    """Return this process's environment as that of a node: with the token, and no other cluster's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    return inherited | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}


def _start(host: Host, words: list[str], cpus: int, environment: Mapping[str, str] | None) -> subprocess.Popen:
    program = Path(sys.executable).with_name("ray")
    common = ["--block", "--disable-usage-stats", f"--node-ip-address={host.address}", f"--num-cpus={cpus}"]
    common.append(f"--object-store-memory={OBJECT_STORE_BYTES}")
    variables = {**node_environment(), **(environment or {})}
    return host.start([program, "start", *common, *words], host.folder / "ray.log", variables)
