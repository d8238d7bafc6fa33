"""Jobs on a real head with token authentication, beside whatever other clusters this machine has."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from ray.job_submission import JobSubmissionClient

from cluster.storage import ROOT, write_json
from cluster.submission import Cluster
from jobs.__main__ import main
from jobs.submit import is_run, status_file

TOKEN = "0123456789abcdef0123456789abcdef"
STARTS_WITHIN_S = 90
RAY_PORTS = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "runtime-env-agent-port",
    "ray-client-server-port",
    "node-manager-port",
    "object-manager-port",
)


class Head(NamedTuple):
    address: str
    environment: dict[str, str]


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, below those that Ray gives to its workers or above them."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in found and not 10002 <= port <= 19999:
            found.append(port)
    return found


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head of one CPU that asks for a token; beside the suite's own Ray, a busy machine of two cores may end it."""
    if not os.environ.get("PADING_TEST_HEAD"):
        pytest.skip("a second Ray head: set PADING_TEST_HEAD=1 and run tests/jobs/test_submit.py by itself")
    ports = dict(zip(RAY_PORTS, free_ports(len(RAY_PORTS)), strict=True))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = inherited | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # short: it holds sockets
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--num-cpus=1"]
        command += [f"--{name}={port}" for name, port in ports.items()]
        command += [f"--temp-dir={folder}", "--dashboard-host=127.0.0.1", "--object-store-memory=80000000"]
        log = Path(folder) / "head.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [*command, "--disable-usage-stats"],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        address = f"http://127.0.0.1:{ports['dashboard-port']}"
        try:
            _wait_for(ports["dashboard-port"], process, log)
            yield Head(address, environment)
        finally:
            process.send_signal(signal.SIGTERM)  # `--block` ends what it started
            process.wait(timeout=60)


def _wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.fixture
def as_client(head: Head, monkeypatch: pytest.MonkeyPatch) -> Head:
    """This process is a client of the head, with its token."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    return head


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "job.py").write_text(
        "import os, sys\nprint('files', sorted(os.listdir()))\nprint('said by the job')\nsys.exit(3)\n"
    )
    (tmp_path / ".env").write_text("AWS_SECRET_ACCESS_KEY=planted\n")
    return tmp_path


@pytest.mark.slow
def test_a_job_is_followed_and_its_exit_code_is_ours(
    as_client: Head, code: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["submit", "--address", as_client.address, "--working-dir", str(code), "--", "python3", "job.py"]
    assert main(words) == 3
    said = capsys.readouterr()
    assert f"{as_client.address}/#/jobs/raysubmit_" in said.out
    assert "said by the job" in said.out
    assert "files ['job.py']" in said.out  # the secret stayed here
    assert "failed, exit code 3; see its log" in said.err.splitlines()[-1]
    assert TOKEN not in said.out + said.err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupting_leaves_the_job_running_and_says_how_to_stop_it(
    number: signal.Signals,
    code: int,
    as_client: Head,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt_once_it_runs(lines: str) -> None:
        if "Running entrypoint" in lines:
            threading.Timer(0.5, os.kill, (os.getpid(), number)).start()

    monkeypatch.setattr("jobs.submit.say", interrupt_once_it_runs)
    words = ["submit", "--address", as_client.address, "--working-dir", str(tmp_path), "--", "sleep", str(code)]
    assert main(words) == code
    errors = capsys.readouterr().err
    client = JobSubmissionClient(as_client.address, headers={"Authorization": f"Bearer {TOKEN}"})
    (job,) = [job.submission_id for job in client.list_jobs() if job.entrypoint == f"sleep {code}"]
    try:
        assert f"left job {job} running" in errors
        assert f"stop it with: ray job stop {job} --address {as_client.address}" in errors
        assert client.get_job_status(job).value in ("PENDING", "RUNNING")
    finally:
        client.stop_job(job)


@pytest.mark.slow
def test_a_wrong_token_is_refused_by_the_cluster_and_said_in_one_line(
    as_client: Head, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 32)
    said = refusal(capsys, "--address", as_client.address, "--", "true")
    assert said.startswith(f"error: the cluster at {as_client.address} refuses this token; take the one")


@pytest.mark.slow
def test_a_run_that_cannot_be_placed_is_not_started(as_client: Head, capsys: pytest.CaptureFixture[str]) -> None:
    run = [sys.executable, "jobs/full_pipeline.py", "smoke", "--pretrain.cpus-per-worker", "4"]
    assert main(["submit", "--address", as_client.address, "--working-dir", str(ROOT), "--", *run]) == 1
    said = capsys.readouterr()
    assert "job raysubmit" not in said.out
    assert said.err.startswith("error: nothing was started: pretrain (2 x (4 CPU) asked, room for 0); cache (")
    assert "the cluster: 1 nodes with 1 CPU" in said.err


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["submit", *arguments]) == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    return errors


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> str:
    """Token mode with a token, and the address of a head that is stopped."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    return f"http://127.0.0.1:{free_ports(1)[0]}"


def test_a_stopped_cluster_is_said(no_cluster: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "--address", no_cluster, "--", "true")
    assert f"no Ray cluster answers at {no_cluster}" in said
    assert "is it started, and the tunnel to it open?" in said


def test_without_token_mode_nothing_is_sent(
    no_cluster: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")
    assert "RAY_AUTH_MODE is not set" in refusal(capsys, "--address", no_cluster, "--", "true")


def test_a_missing_token_is_said(
    no_cluster: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    assert "no token: RAY_AUTH_TOKEN is not set and" in refusal(capsys, "--address", no_cluster, "--", "true")


class Answer(BaseHTTPRequestHandler):
    """Answers everyone, as the head of an open cluster does, or as a server that is none."""

    def do_GET(self) -> None:
        self.send_response(404 if "nothing" in self.path else 200)
        self.end_headers()
        self.wfile.write(b'{"ray_version": "2.60.0"}')

    def log_message(self, form: str, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_open_cluster_gets_no_job(no_cluster: str, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "--address", server, "--", "true")
    assert f"the cluster at {server} takes jobs from anyone, without a token" in said


def test_a_server_that_is_no_cluster_is_said(no_cluster: str, server: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(capsys, "--address", f"{server}/nothing", "--", "true")
    assert "is no Ray cluster (HTTP 404 for /api/version)" in said


def test_an_environment_that_would_win_over_the_address_is_refused(
    no_cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://me:secret@elsewhere:8265")
    with pytest.raises(ValueError, match=r"RAY_ADDRESS=http://\*\*\*@elsewhere:8265 would win over --address"):
        Cluster(no_cluster)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.3:6379")
    with pytest.raises(ValueError, match=r"'10\.0\.0\.3:6379' is no address of a dashboard; give --address http://"):
        Cluster()


def test_nothing_to_run_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to run; say `pading submit --" in refusal(capsys)


@pytest.mark.slow
def test_a_large_working_directory_is_refused(
    as_client: Head, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(101 * 2**20)
    said = refusal(capsys, "--address", as_client.address, "--working-dir", str(tmp_path), "--", "true")
    assert "packs 1 files of 101.0 MiB, the limit is 100.0 MiB; the largest are weights.bin (101.0 MiB)" in said


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python jobs/full_pipeline.py smoke", True),
        ("pading run smoke", True),
        ("/usr/bin/python -m jobs run smoke", True),
        ("pading ablate smoke", False),
        ("python other.py full_pipeline", False),
        ("echo pading run", False),
    ],
)
def test_a_run_is_told_from_other_commands(command: str, expected: bool) -> None:
    assert is_run(tuple(command.split())) is expected


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("pading run smoke --run-dir /storage/run", "/storage/run/status.json"),
        ("pading run smoke --run-dir=/storage/run --force", "/storage/run/status.json"),
        ("pading run smoke --run_dir /storage/run", "/storage/run/status.json"),
        ("pading run smoke --run-dir runs/smoke", None),  # relative to a folder over there
        ("pading run smoke --run-dir", None),
        ("pading run smoke", None),
    ],
)
def test_the_status_file_is_where_the_command_puts_it(command: str, file: str | None) -> None:
    assert status_file(tuple(command.split())) == (Path(file) if file else None)


class Ended:
    """What the Jobs API says of a job that ended."""

    def __init__(self, status: str, driver_exit_code: int | None, message: str = "") -> None:
        from ray.job_submission import JobStatus

        self.status, self.driver_exit_code, self.message = JobStatus(status), driver_exit_code, message


@pytest.mark.parametrize(
    ("ended", "state", "exit_code", "line"),
    [
        (Ended("SUCCEEDED", 0), "succeeded", 0, "job j: succeeded, exit code 0"),
        (Ended("FAILED", 2), None, 2, "job j: failed, exit code 2; see its log"),
        (Ended("FAILED", 1), "failed", 1, "job j: failed, exit code 1; stage fit: no features"),
        (Ended("FAILED", -9), None, 137, "job j: failed, exit code -9; see its log"),
        (Ended("FAILED", None, "node died"), "succeeded", 0, "job j: failed, exit code 0"),
        (Ended("FAILED", None, "node died"), "running", 1, "job j: failed, exit code 1; node died"),
        (Ended("FAILED", None, "node died"), None, 1, "job j: failed, exit code 1; node died"),
        (Ended("STOPPED", None), None, 1, "job j: stopped, exit code 1; see its log"),
    ],
)
def test_an_outcome_is_the_drivers_own_then_the_runs_then_the_jobs(
    ended: Ended, state: str | None, exit_code: int, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = object.__new__(Cluster)
    monkeypatch.setattr(cluster, "_details", lambda job_id: ended, raising=False)
    file = tmp_path / "status.json"
    if state:
        error = {"error": "no features"} if state == "failed" else {}
        write_json(file, {"state": state, "stages": [{"name": "fit", **error}]})
    assert cluster.outcome("j", file) == (exit_code, line)


def test_a_damaged_status_file_is_no_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = object.__new__(Cluster)
    monkeypatch.setattr(cluster, "_details", lambda job_id: Ended("FAILED", 4), raising=False)
    (tmp_path / "status.json").write_text("[1, {")
    assert cluster.outcome("j", tmp_path / "status.json").exit_code == 4
