"""What this process and all that it started cost: wall clock, CPU time, and memory at the peak."""

import threading
import time
from dataclasses import dataclass

import psutil

PERIOD_S = 0.2


@dataclass(frozen=True)
class Cost:
    """Costs of a number of images."""

    rate: float  # images a second
    cpu_ms: float  # CPU time of all processes, an image
    peak_mb: float  # private memory of all processes, and the memory that they share once


class ProcessTree:
    """Watches the tree from a thread; a process that ended keeps the CPU time that it was last seen with."""

    def __enter__(self) -> "ProcessTree":
        self._cpu_s: dict[tuple[int, float], float] = {}
        self._peak_bytes = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def begin(self) -> None:
        """Count from here; memory is watched from `__enter__` on."""
        self._look()
        self._before = dict(self._cpu_s)
        self._start = time.perf_counter()

    def end(self, num_images: int) -> Cost:
        """Return what was spent since `begin`."""
        seconds = time.perf_counter() - self._start
        self._look()
        cpu_s = sum(self._cpu_s.values()) - sum(self._before.values())
        return Cost(num_images / seconds, 1000 * cpu_s / num_images, self._peak_bytes / 1e6)

    def _watch(self) -> None:
        while not self._ended.wait(PERIOD_S):
            self._look()

    def _look(self) -> None:
        with self._lock:
            private_bytes, shared_bytes = 0, 0
            me = psutil.Process()
            for process in (me, *me.children(recursive=True)):
                try:
                    with process.oneshot():
                        times, memory = process.cpu_times(), process.memory_info()
                        self._cpu_s[process.pid, process.create_time()] = times.user + times.system
                except psutil.Error:
                    continue
                private_bytes += memory.rss - memory.shared
                shared_bytes = max(shared_bytes, memory.shared)
            self._peak_bytes = max(self._peak_bytes, private_bytes + shared_bytes)
