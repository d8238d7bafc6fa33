"""Many Ray tasks, a window of them at a time: what the driver holds, and does for each, is independent of their number.

A pending task costs the driver memory, and `ray.wait` looks at every reference that it is given: all tasks at once
cost it their number squared. Tasks end with their flow: those of a stage that has failed would work for nobody, beside
the next attempt's.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from itertools import islice
from typing import TypeVar

import ray

TASKS_PER_CPU, FEWEST = 2, 64  # a CPU's next task waits beside it; the fewest let a cluster grow that starts small
HEARING_S, DYING_S = 2.0, 10.0  # given to tasks that are interrupted, and killed; on a host that is cut off in vain

Item = TypeVar("Item")


def window_size() -> int:
    """Return how many tasks of one CPU keep the cluster busy, as large as it is now."""
    return max(int(TASKS_PER_CPU * ray.cluster_resources().get("CPU", 0)), FEWEST)


def as_they_end(
    submit: Callable[[Item], ray.ObjectRef], items: Iterable[Item], window: Callable[[], int] = window_size
) -> AbstractContextManager[Iterator[tuple[Item, ray.ObjectRef]]]:
    """Submit a task for each item and give each item with its finished task, in the order in which they end.

    Items are drawn as there is room for them. A task that failed is given like any other: `ray.get` says why. Tasks
    that are under way when the context is left are ended.
    """
    return closing(_flow(submit, items, window, _all_finished))


def in_order(
    submit: Callable[[Item], ray.ObjectRef], items: Iterable[Item], window: Callable[[], int] = window_size
) -> AbstractContextManager[Iterator[tuple[Item, ray.ObjectRef]]]:
    """Do the same in the order of the items.

    While one is waited for, as many are under way behind it as there is room for; their results lie in the store.
    """
    return closing(_flow(submit, items, window, _oldest))


def _flow(
    submit: Callable[[Item], ray.ObjectRef],
    items: Iterable[Item],
    window: Callable[[], int],
    finished: Callable[[list[ray.ObjectRef]], list[ray.ObjectRef]],
) -> Iterator[tuple[Item, ray.ObjectRef]]:
    source, running = iter(items), dict[ray.ObjectRef, Item]()  # a dict keeps the order of the items
    try:
        while True:
            for item in islice(source, max(window() - len(running), 0 if running else 1)):
                running[submit(item)] = item
            if not running:
                return
            for reference in finished(list(running)):
                yield running.pop(reference), reference
    finally:
        _end(list(running))


def _all_finished(running: list[ray.ObjectRef]) -> list[ray.ObjectRef]:
    """Wait until a task has ended; return all that have by then, so that fast tasks share the cost of a look."""
    ray.wait(running)
    finished, _ = ray.wait(running, num_returns=len(running), timeout=0)
    return finished


def _oldest(running: list[ray.ObjectRef]) -> list[ray.ObjectRef]:
    finished, _ = ray.wait(running[:1])
    return finished


def _end(running: list[ray.ObjectRef]) -> None:
    """Take back what waits and interrupt what runs, which cleans up after itself; what does not hear it is killed.

    Nobody hears it where SIGINT is ignored, as under `nohup` or behind a shell's `&`. Ray misses a task now and then
    that begins at this moment (1 in 60 were seen to), so a task also writes where no other attempt does
    (`cluster.storage.written_whole`).
    """
    for force, patience_s in ((False, HEARING_S), (True, DYING_S)):
        for reference in running:
            ray.cancel(reference, force=force)
        if running:
            _, running = ray.wait(running, num_returns=len(running), timeout=patience_s)
