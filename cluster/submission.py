"""A job on a cluster through Ray's Jobs API: sent once the cluster is known to authenticate, followed, and judged."""

import asyncio
import contextlib
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from cluster.authentication import find_token
from cluster.secrets import SECRET_FILES, masked

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
OVERRIDING = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # Ray lets them win over the address that is given
PATIENCE_S = 10.0
ANSWER_S = 120.0  # a head that is busy takes its time; one behind a cut network never answers
SILENCE_S = 60.0
START_S = 60.0
NOT_YET = "No available agent"  # a head that has just started answers before it takes jobs
PAUSE_S = 1.0
UNAUTHORISED = (401, 403)


class Outcome(NamedTuple):
    """How a job ended: its exit code, and one line for people."""

    exit_code: int
    line: str


class Cluster:
    """The head of a cluster that takes jobs.

    Raises:
        ValueError: if no token would be sent, the cluster does not answer, refuses the token or asks for none, or the
            environment names another cluster.
    """

    def __init__(self, address: str = "") -> None:
        token = find_token()
        self.address = _address(address)
        _require_closed(self.address)
        _quiet_ray()
        try:
            self._client = _Client(self.address, headers={"Authorization": f"Bearer {token}"})
        except AuthenticationError as error:
            raise ValueError(
                f"the cluster at {self.address} refuses this token; take the one that it was started with"
            ) from error
        except (OSError, RuntimeError) as error:  # what requests raises is an OSError
            raise ValueError(f"the cluster at {self.address} takes no jobs ({_first_line(error)})") from error

    def submit(self, entrypoint: str, working_dir: Path, resources: dict[str, float] | None = None) -> str:
        """Send a working directory and start a job in it; return the job's id.

        `resources` are what the node of the driver must have, such as a little of `{"driver": 0.01}`.

        Raises:
            ValueError: if the cluster does not take the job.
        """
        environment = {"working_dir": str(working_dir), "excludes": list(SECRET_FILES)}
        patient_until = time.monotonic() + START_S
        while True:
            try:
                return str(
                    self._client.submit_job(
                        entrypoint=entrypoint, runtime_env=environment, entrypoint_resources=resources or None
                    )
                )
            except (AuthenticationError, OSError, RuntimeError) as error:
                if NOT_YET not in str(error) or time.monotonic() > patient_until:
                    what = _first_line(error)
                    raise ValueError(f"the cluster at {self.address} did not take the job ({what})") from error
                time.sleep(PAUSE_S)

    def url(self, job_id: str) -> str:
        """Return the page of a job."""
        return f"{self.address}/#/jobs/{job_id}"

    def stop_command(self, job_id: str) -> str:
        """Return what to type to stop a job."""
        return f"ray job stop {job_id} --address {self.address}"

    def follow(self, job_id: str, show: Callable[[str], None]) -> None:
        """Show a job's log as it grows, until the job ends; a stream that breaks is taken up where it broke.

        Raises:
            ValueError: if the head is gone for good, or unreachable; it is asked whenever the stream says nothing.
        """
        log, is_whole = _Log(show), True
        while True:
            try:
                asyncio.run(self._tail(job_id, log))
            except TimeoutError:
                is_whole = False
            except (RuntimeError, OSError) as error:
                is_whole = False
                show(f"the log stream broke ({_first_line(error)}); connecting again\n")
            if self._details(job_id).status.is_terminal():
                break
            time.sleep(PAUSE_S)
        if not is_whole:
            whole = self.logs(job_id)
            log.take(whole, len(whole))

    def logs(self, job_id: str) -> str:
        """Return the whole log of a job."""
        return str(self._client.get_job_logs(job_id))

    def outcome(self, job_id: str, status_file: Path | None) -> Outcome:
        """Return how an ended job ended.

        The exit code is the driver's own. Where the cluster lost it with the driver's node, `status.json` of the run
        decides if it can be read from here, and the job's state otherwise.
        """
        details = self._details(job_id)
        state, failure = _read_status(status_file)
        code = details.driver_exit_code
        if code is None:
            ended_well = state == "succeeded" if state else details.status == JobStatus.SUCCEEDED
            code = 0 if ended_well else 1
        unexplained = details.message if details.driver_exit_code is None else ""  # else Ray only repeats the log
        message = "" if code == 0 else failure or _first_line(unexplained or "see its log")
        line = f"job {job_id}: {details.status.value.lower()}, exit code {code}"
        return Outcome(code if code >= 0 else 128 - code, line + (f"; {message}" if message else ""))

    def _details(self, job_id: str) -> Any:
        """Return what the cluster knows of a job; the head may be away for a moment, but not for long.

        Raises:
            ValueError: if it stays away, or has no such job.
        """
        patient_until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._client.get_job_info(job_id)
            except (OSError, RuntimeError) as error:
                if time.monotonic() > patient_until:
                    raise ValueError(
                        f"the cluster at {self.address} no longer answers ({_first_line(error)}); "
                        f"job {job_id} may still run: look again with `ray job status {job_id}`"
                    ) from error
                time.sleep(PAUSE_S)

    async def _tail(self, job_id: str, log: "_Log") -> None:
        """Take lines until the stream ends.

        Raises:
            TimeoutError: if it says nothing for a while: a quiet job, or a network that was cut, which closes nothing.
        """
        end, loop = 0, asyncio.get_running_loop()
        stream = self._client.tail_job_logs(job_id)  # from the first line each time
        async with contextlib.aclosing(stream), asyncio.timeout(SILENCE_S) as silence:
            async for lines in stream:
                silence.reschedule(loop.time() + SILENCE_S)
                end += len(lines)
                log.take(lines, end)


class _Client(JobSubmissionClient):
    """Ray's own client, which would wait for ever for a head that does not answer."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        return super()._do_request(method, endpoint, timeout=(PATIENCE_S, ANSWER_S), **options)


class _Log:
    """Shows each character of a log once, however often it is streamed."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.show = show
        self.shown = 0

    def take(self, lines: str, end: int) -> None:
        """Show what is new of some lines that end at this character of the log."""
        if end > self.shown:
            self.show(lines[max(0, len(lines) - (end - self.shown)) :])
            self.shown = end


def _quiet_ray() -> None:
    """Silence what Ray says of each upload; errors are raised."""
    for name in ("dashboard.modules.job.sdk", "dashboard.modules.dashboard_sdk", "_private.runtime_env"):
        logging.getLogger(f"ray.{name}").setLevel(logging.ERROR)


def _address(given: str) -> str:
    """Return the cluster's HTTP address: the one that is given, the environment's, or this machine's."""
    named = {name: os.environ[name] for name in OVERRIDING if os.environ.get(name)}
    for name, address in named.items():
        if given and address.rstrip("/") != given.rstrip("/"):
            raise ValueError(
                f"{name}={masked(address)} would win over --address {given}; unset it or leave --address out"
            )
    address = (given or next(iter(named.values()), DEFAULT_ADDRESS)).rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise ValueError(f"{masked(address)!r} is no address of a dashboard; give --address http://HOST:8265")
    return address


def _require_closed(address: str) -> None:
    """Check that the head answers, and turns away who brings no token."""
    try:
        with urllib.request.urlopen(f"{address}/api/version", timeout=PATIENCE_S):
            raise ValueError(
                f"the cluster at {address} takes jobs from anyone, without a token; "
                "start it with RAY_AUTH_MODE=token and a token before it gets work"
            )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code not in UNAUTHORISED:
            raise ValueError(f"{address} is no Ray cluster (HTTP {error.code} for /api/version)") from error
    except OSError as error:
        raise ValueError(
            f"no Ray cluster answers at {address} ({_first_line(error)}); is it started, and the tunnel to it open?"
        ) from error


def _read_status(file: Path | None) -> tuple[str, str]:
    """Return the state of a run and what went wrong in it; nothing where its file cannot be read from here."""
    try:
        status = json.loads(file.read_text()) if file else {}
        failed = [f"stage {stage['name']}: {stage['error']}" for stage in status.get("stages", ()) if "error" in stage]
        return str(status.get("state", "")), " ".join(failed)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "", ""


def _first_line(error: object) -> str:
    return masked(str(error).strip().splitlines()[0][:300]) if str(error).strip() else type(error).__name__
