import threading

import pytest

from pading.data.threads import ITEMS_A_TURN, NUM_THREADS, map_in_threads


@pytest.mark.parametrize("num_items", [0, 1, ITEMS_A_TURN, ITEMS_A_TURN + 1, 20 * ITEMS_A_TURN + 7])
def test_results_come_in_the_order_of_the_items(num_items):
    assert list(map_in_threads(lambda item: item * item, range(num_items))) == [
        item * item for item in range(num_items)
    ]


def test_several_threads_are_at_work():
    together = threading.Barrier(NUM_THREADS, timeout=20)
    list(map_in_threads(lambda item: item % ITEMS_A_TURN or together.wait(), range(NUM_THREADS * ITEMS_A_TURN)))


def test_what_the_work_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(lambda item: 1 // item, range(3)))
