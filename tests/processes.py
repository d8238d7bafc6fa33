"""Processes that a test started, found by what Ray calls them, and ended in the middle of their work."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil


def named(title: str) -> list[psutil.Process]:
    """Return processes below this one whose title holds these words; another test run on the machine has its own."""
    return [process for process in psutil.Process().children(recursive=True) if title in title_of(process)]


def title_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


@contextmanager
def one_killed(
    title: str, ready: Callable[[], bool] = lambda: True, by: signal.Signals = signal.SIGKILL, timeout_s: float = 120
) -> Iterator[list[int]]:
    """End one process of this title, once `ready`, while what is inside runs; yields the list that its id goes into."""
    killed: list[int] = []
    over = threading.Event()

    def look() -> None:
        deadline = time.monotonic() + timeout_s
        while not killed and not over.is_set() and time.monotonic() < deadline:
            if ready() and (found := named(title)):
                found[0].send_signal(by)
                killed.append(found[0].pid)
            time.sleep(0.02)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()
