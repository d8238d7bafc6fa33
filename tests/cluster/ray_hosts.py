"""Ray with token authentication in hosts of their own; a worker's host can be cut off, or ended with all it runs."""

import contextlib
import json
import os
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.hosts import Host

TOKEN = "0123456789abcdef0123456789abcdef"
START_S = 300.0  # it takes seven on an idle machine
GCS_PORT, DASHBOARD_PORT = 6379, 8265
OBJECT_STORE_BYTES = 150_000_000
# A node ends itself if one of its own processes does not report in time, which on a crowded machine takes minutes.
PATIENCE = {
    "RAY_gcs_server_port_wait_time_s": "180",
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "180",
    "RAY_agent_register_timeout_ms": "180000",
}


def start_head(
    host: Host, *, cpus: int = 1, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> str:
    """Start a head that takes jobs, and return the address of its dashboard."""
    words = ["--head", f"--port={GCS_PORT}", f"--dashboard-host={host.address}", *options]
    _start(host, words, cpus, environment, dashboard_of(host))
    return dashboard_of(host)


def start_worker(
    host: Host,
    head: Host,
    *,
    cpus: int = 1,
    options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Start a node that joins a head, and wait until the head knows it."""
    _start(host, [f"--address={head.address}:{GCS_PORT}", *options], cpus, environment, dashboard_of(head))


def dashboard_of(head: Host) -> str:
    """Return the address that a head takes jobs at."""
    return f"http://{head.address}:{DASHBOARD_PORT}"


def alive_nodes(dashboard: str) -> list[str]:
    """Return the addresses of a cluster's nodes that its head believes to be alive."""
    nodes = _asked(dashboard, "nodes?view=summary")["summary"]
    return [node["raylet"]["nodeManagerAddress"] for node in nodes if node["raylet"].get("state") == "ALIVE"]


def actor_places(dashboard: str, title: str) -> list[str]:
    """Return the addresses of the hosts on which actors of a class ran, dead ones too."""
    actors = _asked(dashboard, "logical/actors")["actors"].values()
    return [actor["address"]["ipAddress"] for actor in actors if actor["actorClass"] == title]


def _asked(dashboard: str, what: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{dashboard}/{what}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["data"]


def node_environment() -> dict[str, str]:
    """Return this process's environment as that of a node: with the token, and no other cluster's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    return inherited | PATIENCE | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}


def _start(host: Host, words: list[str], cpus: int, environment: Mapping[str, str] | None, dashboard: str) -> None:
    """Start a node and wait until the head knows it.

    A node ends itself if its agent, a Python process, takes more than 15 seconds to say which port it has, and Ray has
    no setting for that: on a crowded machine it happens, and the node is started again.
    """
    program = Path(sys.executable).with_name("ray")
    common = ["--block", "--disable-usage-stats", f"--node-ip-address={host.address}", f"--num-cpus={cpus}"]
    common.append(f"--object-store-memory={OBJECT_STORE_BYTES}")
    variables = {**node_environment(), **(environment or {})}
    log = host.folder / "ray.log"
    deadline = time.monotonic() + START_S
    while True:
        process = host.start([program, "start", *common, *words], log, variables)
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, KeyError):  # the dashboard is not there yet
                if host.address in alive_nodes(dashboard):
                    return
            time.sleep(0.3)
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        host.clear()
