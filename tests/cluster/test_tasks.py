"""A window of Ray tasks: how many are under way, in which order they come back, and what a failed one does."""

import itertools
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

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


@ray.remote(num_cpus=1)
def _write_for_ever(folder: Path, number: int) -> None:
    while True:
        (folder / str(number)).touch()


def results(flow: AbstractContextManager[Iterator[tuple[int, ray.ObjectRef]]]) -> list[tuple[int, int]]:
    with flow as finished:
        return [(item, ray.get(reference)) for item, reference in finished]


@settings(max_examples=8, deadline=None)
@given(number=st.integers(0, 30), window=st.integers(1, 12))
def test_each_item_comes_back_once_with_its_result(number, window) -> None:
    expected = [(item, 2 * item) for item in range(number)]
    assert sorted(results(as_they_end(_double.remote, range(number), lambda: window))) == expected
    assert results(in_order(_double.remote, range(number), lambda: window)) == expected


@pytest.mark.parametrize("flow", [as_they_end, in_order])
def test_items_are_drawn_only_as_there_is_room(flow) -> None:
    drawn = itertools.count()
    with flow(_double.remote, (next(drawn) for _ in range(50)), lambda: 5) as finished:
        for taken in range(1, 11):
            next(finished)
            assert next(drawn) <= 5 + taken + taken  # `next` counts, too


def test_the_window_grows_with_the_cluster() -> None:
    room = iter([1, 1, 4, 4, 4, 4, 4, 4, 4])
    submitted: list[int] = []

    def submit(item: int) -> ray.ObjectRef:
        submitted.append(item)
        return _double.remote(item)

    with in_order(submit, range(20), lambda: next(room)) as finished:
        next(finished)
        assert submitted == [0]
        next(finished)
        assert submitted == [0, 1]
        next(finished)
        assert submitted == [0, 1, 2, 3, 4, 5]


def test_a_window_without_room_still_lets_one_task_begin() -> None:
    for flow in (in_order, as_they_end):
        assert results(flow(_double.remote, [1, 2], lambda: 0)) == [(1, 2), (2, 4)]


def test_a_slow_task_holds_up_nobody_but_in_order() -> None:
    def submit(item: int) -> ray.ObjectRef:
        return _double.remote(item, 0.8 if item == 0 else 0.0)

    assert results(as_they_end(submit, range(6), lambda: 3))[-1] == (0, 0)
    assert [item for item, _ in results(in_order(submit, range(6), lambda: 3))] == list(range(6))


def test_a_failed_task_comes_back_and_the_others_go_on() -> None:
    doubled, failed = [], []
    with as_they_end(_double.remote, [3, -1, 4], lambda: 2) as finished:
        for item, reference in finished:
            try:
                doubled.append(ray.get(reference))
            except RayTaskError as error:
                failed.append((item, str(error.cause)))
    assert sorted(doubled) == [6, 8]
    assert failed == [(-1, "-1 cannot be doubled")]


def test_the_default_window_keeps_every_cpu_busy() -> None:
    assert window_size() == max(TASKS_PER_CPU * int(ray.cluster_resources()["CPU"]), FEWEST)


@pytest.mark.parametrize("flow", [as_they_end, in_order])
def test_no_task_outlives_a_flow_that_is_left(flow, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What goes on after its stage has failed works for nobody, and beside the next attempt."""

    def submit(number: int) -> ray.ObjectRef:
        if number > 4:
            patience = time.monotonic() + 30
            while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < patience:  # as many as there are processors
                time.sleep(0.02)
            raise OSError("there is no room")
        return _write_for_ever.remote(tmp_path, number)

    with pytest.raises(OSError, match="there is no room"):
        results(flow(submit, range(1, 6), lambda: 5))
    for path in tmp_path.iterdir():
        path.unlink()
    assert sorted(results(flow(_double.remote, [1, 2, 3, 4], lambda: 4))) == [(1, 2), (2, 4), (3, 6), (4, 8)]
    assert list(tmp_path.iterdir()) == []
    assert "Unhandled" not in capfd.readouterr().err
