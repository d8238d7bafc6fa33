"""One function over many items, in threads: for work that waits for files."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

NUM_THREADS = 8
ITEMS_A_TURN = 64  # handing over a single item costs more than looking up a file

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield `work(item)` of each item, in order."""
    turns = [items[start : start + ITEMS_A_TURN] for start in range(0, len(items), ITEMS_A_TURN)]
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        for results in threads.map(lambda turn: [work(item) for item in turn], turns):
            yield from results
