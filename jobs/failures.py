"""Failures as one line for people: the cause under Ray's wrappings, and the full trace in a file."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster.secrets import masked
from jobs.progress import complain

# What bad input and bad settings raise; anything else is a defect of ours or of the machine.
EXPECTED = (ValueError, OSError)


def exit_code(work: Callable[[], int | None], trace: Path | None) -> int:
    """Do `work` and return the exit code that it returns, 0 for none.

    If it fails, print one line on stderr, write the trace to the file `trace`, and return 1. Both without secrets.
    """
    try:
        return work() or 0
    except KeyboardInterrupt:
        complain("error: interrupted; the same command continues where it stopped")
        return 130
    except Exception as error:
        cause = root_cause(error)
        line = " ".join(str(cause).split()) or "no message"
        if not isinstance(cause, EXPECTED):
            line = f"{type(cause).__name__}: {line}"
        if trace is not None and trace.parent.is_dir():
            trace.write_text(masked("".join(traceback.format_exception(error))))
            line += f" (trace: {trace})"
        complain(f"error: {masked(line)}")
        return 1


def root_cause(error: BaseException) -> BaseException:
    """Return the first expected failure below an exception, or the innermost one where there is none."""
    found = list(_below(error, set()))
    return next((cause for cause in found if isinstance(cause, EXPECTED) and not _is_ray(cause)), found[-1])


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
