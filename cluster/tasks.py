"""Many Ray tasks, a window of them at a time: what the driver holds, and does for each, is independent of their number.

A pending task costs the driver memory, and `ray.wait` looks at every reference that it is given: all tasks at once
cost it their number squared.

Tasks of a stage that has failed go on until the driver ends, so a task writes where no other attempt does
(`cluster.storage.written_once`). `ray.cancel` is no remedy: it misses tasks that begin at that moment, and where one
ends at that moment it aborts the driver ("Check failed: it != submissible_tasks_.end()", Ray 2.60).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import ray

TASKS_PER_CPU, FEWEST = 2, 64  # a CPU's next task waits beside it; the fewest let a cluster grow that starts small

Item = TypeVar("Item")


def window_size() -> int:
    """Return how many tasks of one CPU keep the cluster busy, as large as it is now."""
    return max(int(TASKS_PER_CPU * ray.cluster_resources().get("CPU", 0)), FEWEST)


def as_they_end(
    submit: Callable[[Item], ray.ObjectRef], items: Iterable[Item], window: Callable[[], int] = window_size
) -> Iterator[tuple[Item, ray.ObjectRef]]:
    """Submit a task for each item and yield each item with its finished task, in the order in which they end.

    Items are drawn as there is room for them. A task that failed is yielded like any other: `ray.get` says why.
    """
    source, running = iter(items), dict[ray.ObjectRef, Item]()
    while True:
        room = max(window() - len(running), 0 if running else 1)
        running |= {submit(item): item for item in islice(source, room)}
        if not running:
            return
        for reference in _finished(list(running)):
            yield running.pop(reference), reference


def in_order(
    submit: Callable[[Item], ray.ObjectRef], items: Iterable[Item], window: Callable[[], int] = window_size
) -> Iterator[ray.ObjectRef]:
    """Submit a task for each item and yield the tasks in the order of the items, finished or not.

    While one is waited for, as many are under way behind it as there is room for; their results lie in the store.
    """
    source, running = iter(items), deque[ray.ObjectRef]()
    while True:
        room = max(window() - len(running), 0 if running else 1)
        running.extend(submit(item) for item in islice(source, room))
        if not running:
            return
        yield running.popleft()


def _finished(running: list[ray.ObjectRef]) -> list[ray.ObjectRef]:
    """Wait until a task has ended; return all that have by then, so that fast tasks share the cost of a look."""
    ray.wait(running)
    finished, _ = ray.wait(running, num_returns=len(running), timeout=0)
    return finished
