"""Items made in a thread, a few ahead."""

import threading
import time
from collections.abc import Iterator

import pytest

from jobs.read_ahead import batches, read_ahead


def test_order_is_kept_and_exceptions_come_in_their_place() -> None:
    def numbers() -> Iterator[int]:
        yield from range(5)
        raise ValueError("the sixth")

    taken = []
    with pytest.raises(ValueError, match="the sixth"):
        taken += [taken.append(number) for number in read_ahead(numbers(), 2)]
    assert taken == [0, 1, 2, 3, 4]
    assert list(read_ahead([], 2)) == []


def test_no_more_items_are_made_than_the_depth_allows() -> None:
    made = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = read_ahead(numbers(), 3)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 1 + 3 + 1  # one taken, three wait, one is on its way
    items.close()


def test_closing_ends_the_thread() -> None:
    items = read_ahead(iter(range(1000)), 1)
    next(items)
    items.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_batches_lose_nothing() -> None:
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches([], 3)) == []
