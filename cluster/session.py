"""The only `ray.init`: joins the cluster a job was submitted to, or starts a private one on this machine."""

import contextlib
import logging
import os
import signal
import socket
import threading

import ray

from cluster.authentication import OWN, require_closed_cluster
from cluster.storage import ROOT

DASHBOARD_PORT = 8265  # Ray's own, where people look for it


def connect(num_cpus: int | None = None) -> dict[str, float]:
    """Connect to Ray once and return the cluster's resources.

    `RAY_ADDRESS` (set by `ray job submit`) names the cluster; without it a local one starts on loopback with token
    authentication, Ray's default. `num_cpus` counts only for a local cluster.

    Raises:
        ValueError: if the cluster can be reached from other machines and token authentication is off.
    """
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS", OWN)
        require_closed_cluster(address)
        before = signal.getsignal(signal.SIGTERM)
        start, environment = {}, worker_environment()
        if address == OWN:
            # Workers would look for their cluster's dashboard on this machine, and take the one of another that runs
            # there or has left its traces: Ray Train then gives up what watches over its controller.
            start = {"num_cpus": num_cpus, "dashboard_port": _free_port(DASHBOARD_PORT)}
            environment["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{start['dashboard_port']}"
        ray.init(
            address=address,
            log_to_driver=True,
            logging_level=logging.WARNING,
            runtime_env={"env_vars": environment},
            **start,
        )
        # Ray takes SIGTERM for itself, and would wait half a minute for its own node to be empty.
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
        _quiet_data()
    return dict(ray.cluster_resources())


def worker_environment() -> dict[str, str]:
    """Environment of every worker: finds these packages, says little, stays in the driver's directory."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PYTHONPATH": os.pathsep.join(paths),
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # else every line that a training worker prints arrives twice
        "RAY_DATA_LOG_LEVEL": "ERROR",
        "PYTHONWARNINGS": "ignore::DeprecationWarning,ignore::FutureWarning",
    }


def _free_port(wanted: int) -> int:
    """Return a port of loopback that nobody listens on: the one wanted, or any."""
    for port in (wanted, 0):
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return int(free.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")


def _quiet_data() -> None:
    """Keep Ray Data's order (shards are read in the order of their names) and silence its progress bars."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    context.print_on_execution_start = False
    context.raise_original_map_exception = True  # the wrapper would lose which file was bad and why
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it logs as an error it also raises
