"""A window of Ray tasks: how many are under way, in which order they come back, and what a failed one does."""

import itertools
import time

import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import RayTaskError

from cluster.tasks import FEWEST, TASKS_PER_CPU, as_they_end, in_order, window_size

pytestmark = pytest.mark.usefixtures("ray_session")


@ray.remote(num_cpus=1)
def _double(number: int, seconds: float = 0.0) -> int:
    time.sleep(seconds)
    if number < 0:
        raise ValueError(f"{number} cannot be doubled")
    return 2 * number


@settings(max_examples=8, deadline=None)
@given(number=st.integers(0, 30), window=st.integers(1, 12))
def test_each_item_comes_back_once_with_its_result(number, window) -> None:
    ended = [
        (item, ray.get(reference)) for item, reference in as_they_end(_double.remote, range(number), lambda: window)
    ]
    assert sorted(ended) == [(item, 2 * item) for item in range(number)]
    ordered = [ray.get(reference) for reference in in_order(_double.remote, range(number), lambda: window)]
    assert ordered == [2 * item for item in range(number)]


@pytest.mark.parametrize("flow", [as_they_end, in_order])
def test_items_are_drawn_only_as_there_is_room(flow) -> None:
    drawn = itertools.count()
    finished = flow(_double.remote, (next(drawn) for _ in range(50)), lambda: 5)
    for taken in range(1, 11):
        next(finished)
        assert next(drawn) <= 5 + taken + taken  # `next` counts, too
    finished.close()


def test_the_window_grows_with_the_cluster() -> None:
    room = iter([1, 1, 4, 4, 4, 4, 4, 4, 4])
    submitted: list[int] = []

    def submit(item: int) -> ray.ObjectRef:
        submitted.append(item)
        return _double.remote(item)

    finished = in_order(submit, range(20), lambda: next(room))
    next(finished)
    assert submitted == [0]
    next(finished)
    assert submitted == [0, 1]
    next(finished)
    assert submitted == [0, 1, 2, 3, 4, 5]


def test_a_window_without_room_still_lets_one_task_begin() -> None:
    assert [ray.get(reference) for reference in in_order(_double.remote, [1, 2], lambda: 0)] == [2, 4]
    assert sorted(item for item, _ in as_they_end(_double.remote, [1, 2], lambda: 0)) == [1, 2]


def test_a_slow_task_holds_up_nobody_but_in_order() -> None:
    def submit(item: int) -> ray.ObjectRef:
        return _double.remote(item, 0.8 if item == 0 else 0.0)

    assert [item for item, _ in as_they_end(submit, range(6), lambda: 3)][-1] == 0
    assert [ray.get(reference) for reference in in_order(submit, range(6), lambda: 3)] == [0, 2, 4, 6, 8, 10]


def test_a_failed_task_comes_back_and_the_others_go_on() -> None:
    results, failed = [], []
    for item, reference in as_they_end(_double.remote, [3, -1, 4], lambda: 2):
        try:
            results.append(ray.get(reference))
        except RayTaskError as error:
            failed.append((item, str(error.cause)))
    assert sorted(results) == [6, 8]
    assert failed == [(-1, "-1 cannot be doubled")]


def test_the_default_window_keeps_every_cpu_busy() -> None:
    assert window_size() == max(TASKS_PER_CPU * int(ray.cluster_resources()["CPU"]), FEWEST)
