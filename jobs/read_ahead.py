"""An iterator that runs in a thread of its own, a few items ahead of whoever takes them: decoding beside computing."""

import queue
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
LOOK_S = 0.1  # how often a thread that waits asks whether it is still wanted


class _End:
    """Stands for the end of the items, by itself or by an exception."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """Yield the items in order while a thread makes up to `depth` more; what it raises is raised here, in its place.

    The thread ends when the items do, or soon after this iterator is closed.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(depth)
    is_closed = threading.Event()

    def put(item: Item | _End) -> bool:
        while not is_closed.is_set():
            try:
                ready.put(item, timeout=LOOK_S)
                return True
            except queue.Full:
                continue
        return False

    def fill() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_End())
        except BaseException as error:  # carried to the thread that takes the items, whatever it is
            put(_End(error))

    thread = threading.Thread(target=fill, name="read ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        is_closed.set()
        thread.join()


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`, the last of what is left."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
