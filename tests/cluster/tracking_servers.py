"""Real servers for the tests of tracking: MLflow's own, and PostgreSQL; started on loopback, ended with the test."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

START_S = 300.0  # it takes five on an idle machine


@contextlib.contextmanager
def mlflow_server(
    folder: Path, *, store: str, options: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run `mlflow server` on a free port with its artifacts and log in `folder`, and yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts"), *options]
    variables = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1", **(environment or {})}
    variables.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # its own session: the server and its worker
            server.wait()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL of our own, and yield the address of an empty database.

    Raises:
        LookupError: saying why there is none.
    """
    programs = find_postgres()
    owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pading-postgres-"))
    port, log = free_port(), folder / "postgres.log"
    try:
        shutil.chown(folder, owner)
        as_owner = {"cwd": folder, "user": owner, "stderr": subprocess.STDOUT}
        create = [programs / "initdb", "-D", folder / "data", "-U", "mlflow", "--auth=trust", "--no-sync"]
        subprocess.run(create, check=True, stdout=subprocess.DEVNULL, **as_owner)
        options = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
        serve = [programs / "postgres", "-D", folder / "data", "-p", str(port)]
        with log.open("w") as output:
            server = subprocess.Popen(
                [*serve, *(part for option in options for part in ("-c", option))], stdout=output, **as_owner
            )
            try:
                deadline = time.monotonic() + START_S
                ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
                while subprocess.run(ready).returncode:
                    wait_a_little(server, deadline, log)
                yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
            finally:
                server.send_signal(signal.SIGINT)  # "fast": does not wait for clients
                server.wait(timeout=60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_postgres() -> Path:
    """Return the folder of PostgreSQL's programs, installed by apt where this process may do so.

    Raises:
        LookupError: saying why there are none.
    """
    if found := _installed_postgres():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LookupError("PostgreSQL is not installed, and only root on Debian can install it from a test")
    command = ["apt-get", "install", "--yes", "--no-install-recommends", "postgresql"]
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired as error:
        raise LookupError("apt-get did not install PostgreSQL within five minutes") from error
    found = _installed_postgres()
    if not found:
        raise LookupError(f"apt-get cannot install PostgreSQL: {(done.stderr or done.stdout).strip()[-300:]}")
    return found


def _installed_postgres() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if folders and (folders[-1] / "initdb").exists():
        return folders[-1]
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    """Wait until a server answers, whatever it says."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except urllib.error.HTTPError:  # such as: who are you?
            return
        except OSError:
            wait_a_little(server, deadline, log)


def wait_a_little(server: subprocess.Popen, deadline: float, log: Path) -> None:
    """Give a server that is starting some time; fail with its log where it died or takes too long."""
    assert server.poll() is None, log.read_text()[-3000:]
    assert time.monotonic() < deadline, log.read_text()[-3000:]
    time.sleep(0.2)
