"""Failures as one line for people: the cause under Ray's wrappings, and the full trace in a file."""

import contextlib
import errno
import re
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from cluster.secrets import masked
from cluster.storage import NO_ROOM, BusyError
from jobs.progress import complain

# What bad input and bad settings raise; anything else is a defect of ours or of the machine.
EXPECTED = (ValueError, OSError)
CONTINUE = "the same command continues where it stopped"
# How libraries say it that do not raise an OSError: safetensors, torch.save.
NO_ROOM_TEXTS = ("No space left on device", "PytorchStreamWriter failed writing")
RAY_NOTE = re.compile(r"""(:\s*['"])?(\\n|\s)*Failed to apply UDF transform after .*""", re.DOTALL)  # Ray Data adds it
MEGABYTE = 2**20
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM  # as shells give them


class Terminated(BaseException):
    """The process was asked to end: its machine is about to be taken away, or its time is up."""


def exit_code(work: Callable[[], int | None], trace: Path | None) -> int:
    """Do `work` and return the exit code that it returns, 0 for none.

    If it fails, print one line on stderr, write the trace to the file `trace`, and return 1. Both without secrets. On
    SIGTERM, `work` ends in order, and the code is 143.
    """
    asked = threading.Event()
    try:
        with _ended_by_sigterm(asked):
            return work() or 0
    except KeyboardInterrupt:
        complain(f"error: interrupted; {CONTINUE}")
        return INTERRUPTED
    except (Terminated, Exception) as error:
        if asked.is_set():  # compiled code in which it was raised makes another error of it
            complain(f"error: terminated; {CONTINUE}")
            return TERMINATED
        line = one_line(error) + _remedy(error, trace)
        is_ours = trace is not None and not isinstance(root_cause(error), BusyError)
        if is_ours and _is_written(trace, masked("".join(traceback.format_exception(error)))):
            line += f" (trace: {trace})"
        complain(f"error: {masked(line)}")
        return 1


def one_line(error: BaseException) -> str:
    """Return the cause of a failure for people; one that is not expected is named by its type."""
    cause = root_cause(error)
    line = " ".join(RAY_NOTE.sub("", str(cause)).split())
    if isinstance(cause, EXPECTED):
        return line or "no message"
    return f"{type(cause).__name__}: {line}" if line else type(cause).__name__


def root_cause(error: BaseException) -> BaseException:
    """Return the first expected failure below an exception, or the innermost one where there is none."""
    found = list(_below(error, set()))
    return next((cause for cause in found if isinstance(cause, EXPECTED) and not _is_ray(cause)), found[-1])


@contextlib.contextmanager
def _ended_by_sigterm(asked: threading.Event) -> Iterator[None]:
    """Raise `Terminated` at SIGTERM, once: what cleans up is not interrupted by a second one. Sets `asked` before."""

    def end(number: int, frame: Any) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        asked.set()
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # the only one that may
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _remedy(error: BaseException, trace: Path | None) -> str:
    """Return what to do about a disk, where one is at fault; the message of a library seldom says which."""
    causes = list(_below(error, set()))
    numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
    places = [Path(tempfile.gettempdir()), *([trace.parent] if trace is not None else [])]
    if errno.EROFS in numbers:
        where = f" where {places[-1]} lies" if trace is not None else ""
        return f": allow writing{where}, then say the same command again; what was finished is kept"
    if numbers & {*NO_ROOM} or any(text in str(cause) for cause in causes for text in NO_ROOM_TEXTS):
        left = ", ".join(f"{place} {_free_mb(place)} MB" for place in reversed(places))
        return f": make room (left: {left}), then say the same command again; what was finished is kept"
    return ""


def _free_mb(place: Path) -> str:
    try:
        return str(shutil.disk_usage(place).free // MEGABYTE)
    except OSError:
        return "?"


def _is_written(file: Path, text: str) -> bool:
    """Write a file if its folder is there and takes it; a disk that is full or read-only may be what failed."""
    try:
        file.write_text(text)
    except OSError:
        return False
    return True


def _below(error: BaseException, visited: set[int]) -> Iterator[BaseException]:
    if id(error) in visited:
        return
    visited.add(id(error))
    yield error
    workers = getattr(error, "worker_failures", None) or {}
    for inner in (getattr(error, "cause", None), error.__cause__, *workers.values()):
        if isinstance(inner, BaseException):
            yield from _below(inner, visited)


def _is_ray(error: BaseException) -> bool:
    """Ray makes task errors that are also instances of what the task raised; their text holds the whole trace."""
    return any(kind.__module__.startswith("ray.") for kind in type(error).__mro__)
