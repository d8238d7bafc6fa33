"""Jobs on a real head with token authentication, on a host of its own; and heads that are not there or not closed."""

import gc
import os
import signal
import sys
import threading
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
from tests.cluster.hosts import Host, Network, network
from tests.cluster.ray_hosts import TOKEN, start_head
from tests.cluster.tracking_servers import free_port


class Head(NamedTuple):
    address: str
    host: Host
    network: Network


@pytest.fixture(scope="module")
def head(several_hosts: None) -> Iterator[Head]:
    """A head of one CPU that asks for a token, on a host of its own: no port or file is shared with the suite's Ray."""
    with network("head") as made:
        yield Head(start_head(made.hosts[0]), made.hosts[0], made)


@pytest.fixture
def as_client(head: Head, monkeypatch: pytest.MonkeyPatch) -> Iterator[Head]:
    """This process is a client of the head, with its token."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    yield head
    gc.collect()  # what Ray's client leaves open of a stream that is left early warns here, not in a later test


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
    interruptible: None,
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


@pytest.mark.slow
def test_a_job_that_is_silent_for_long_is_followed_to_its_end(
    as_client: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cluster.submission.SILENCE_S", 3.0)
    script = "echo before; sleep 7; echo after"
    words = ["submit", "--address", as_client.address, "--working-dir", str(tmp_path), "--", "sh", "-c", script]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines.count("before"), lines.count("after")) == (1, 1)
    assert not any("broke" in line for line in lines)


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
    return f"http://127.0.0.1:{free_port()}"


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


@pytest.mark.slow
def test_a_head_that_is_cut_off_is_said_before_and_while_a_job_runs(
    as_client: Head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Last of the head's tests, because it ends with the head's host."""
    monkeypatch.setattr("cluster.submission.PATIENCE_S", 2.0)
    monkeypatch.setattr("cluster.submission.SILENCE_S", 5.0)  # a stream takes a second or two to begin

    def cut_once_it_runs(lines: str) -> None:
        if "Running entrypoint" in lines:
            as_client.network.cut(as_client.host)

    with monkeypatch.context() as patch:
        patch.setattr("jobs.submit.say", cut_once_it_runs)
        said = refusal(capsys, "--address", as_client.address, "--working-dir", str(tmp_path), "--", "sleep", "600")
    assert said.startswith(f"error: the cluster at {as_client.address} no longer answers (")
    assert "; job raysubmit_" in said
    assert "may still run: look again with `ray job status raysubmit_" in said
    assert "is it started, and the tunnel to it open?" in refusal(capsys, "--address", as_client.address, "--", "true")
    as_client.host.kill()
    assert "is it started, and the tunnel to it open?" in refusal(capsys, "--address", as_client.address, "--", "true")


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
