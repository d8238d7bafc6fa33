"""Verb `submit`: a command as a job on a cluster, after the checks that can be made before it costs anything."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import tyro

from cluster.submission import Cluster
from cluster.working_directory import MEBIBYTE, require_sendable
from jobs.failures import INTERRUPTED, TERMINATED, Terminated
from jobs.progress import complain, say

SCRIPT, DRY_RUN, ERROR = "full_pipeline.py", "--dry-run", "error: "
LITTLE = 0.001  # of a custom resource: enough to choose the node


@dataclass(frozen=True, kw_only=True)
class Submit:
    """Run a command on a Ray cluster: `pading submit -- python jobs/full_pipeline.py PRESET --run-dir DIR`."""

    command: tyro.conf.Positional[tuple[str, ...]]
    """What to run there, after `--`."""
    address: str = ""
    """The head's dashboard, such as http://127.0.0.1:8265; empty: RAY_ADDRESS, else that one."""
    working_dir: Path = Path()
    """Folder of the code, sent along without what .rayignore and .gitignore name, and without secrets."""
    on: str = ""
    """Custom resource that the driver's node must have, such as `driver`; empty: the head."""
    check: bool = True
    """First see, by a dry run on the cluster, whether every stage can be placed."""
    follow: bool = True
    """Show the log until the job ends; otherwise leave once it is sent."""


def submit(command: Submit) -> int:
    """Send a command to a cluster, follow it, and return its exit code.

    Raises:
        ValueError: if the cluster is not there or not closed, the token is missing or wrong, the folder too large, or
            a stage cannot be placed.
    """
    if not command.command:
        raise ValueError("nothing to run; say `pading submit -- python jobs/full_pipeline.py PRESET --run-dir DIR`")
    cluster = Cluster(command.address)
    num_bytes = require_sendable(command.working_dir)
    say(f"working directory {command.working_dir.absolute()}: {num_bytes / MEBIBYTE:.1f} MiB before compression")
    resources = {command.on: LITTLE} if command.on else None
    if command.check and is_run(command.command):
        _require_feasible(cluster, command, resources)
    job = cluster.submit(shlex.join(command.command), command.working_dir, resources)
    say(f"job {job}: {cluster.url(job)}")
    if not command.follow:
        say(f"stop it with: {cluster.stop_command(job)}")
        return 0
    try:
        cluster.follow(job, lambda lines: say(lines.rstrip("\n")))
        outcome = cluster.outcome(job, status_file(command.command))
    except (KeyboardInterrupt, Terminated) as end:
        complain(f"left job {job} running: {cluster.url(job)}; stop it with: {cluster.stop_command(job)}")
        return TERMINATED if isinstance(end, Terminated) else INTERRUPTED
    (say if outcome.exit_code == 0 else complain)(outcome.line)
    return outcome.exit_code


def is_run(command: tuple[str, ...]) -> bool:
    """Return whether a command is a run of the pipeline, which can plan itself."""
    words = [Path(word).name for word in command]
    return SCRIPT in words[:3] or words[:2] == ["pading", "run"] or words[1:4] == ["-m", "jobs", "run"]


def status_file(command: tuple[str, ...]) -> Path | None:
    """Return where a run would write its `status.json`, if its command says so by an absolute path."""
    for position, word in enumerate(command):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == "--run-dir":
            folder = Path(value if equals else next(iter(command[position + 1 :]), ""))
            return folder / "status.json" if folder.is_absolute() else None
    return None


def _require_feasible(cluster: Cluster, command: Submit, resources: dict[str, float] | None) -> None:
    """Plan the run where it would run: with the cluster's own nodes, folders and limits."""
    words = command.command if DRY_RUN in command.command else (*command.command, DRY_RUN)
    job = cluster.submit(shlex.join(words), command.working_dir, resources)
    cluster.follow(job, lambda lines: None)
    outcome = cluster.outcome(job, None)
    if outcome.exit_code == 0:
        say("the cluster can place every stage")
        return
    log = [line for line in cluster.logs(job).splitlines() if line.strip()]
    said = [line.removeprefix(ERROR) for line in log if line.startswith(ERROR)] or log or [outcome.line]
    raise ValueError(f"nothing was started: {said[-1]}")
