"""The order of training images: everything once an epoch, the same for any number of workers, from any step on."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.data.views.order import TrainingOrder, rounds
from tests.references.data_order import images_of_epoch

FILES = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple), min_size=1, max_size=4).map(tuple)
FIELDS = ("epoch", "image", "file", "group", "row")


def even_order(num_groups: int = 64, rows: int = 16, batch_size: int = 8, seed: int = 3) -> TrainingOrder:
    per_file = num_groups // 4
    return TrainingOrder(rows_per_group=((rows,) * per_file,) * 4, seed=seed, batch_size=batch_size)


def whole_epoch(order: TrainingOrder, epoch: int) -> np.ndarray:
    return order.images_at(epoch, np.arange(order.num_images))


@settings(max_examples=60, deadline=None)
@given(files=FILES, seed=st.integers(0, 99), batch_size=st.integers(1, 12), window=st.integers(1, 6))
def test_an_epoch_is_what_the_literal_lists_say(files, seed, batch_size, window) -> None:
    order = TrainingOrder(rows_per_group=files, seed=seed, batch_size=batch_size, window=window)
    for epoch in (0, 5):
        expected = images_of_epoch(files, seed, batch_size, window, epoch)
        assert whole_epoch(order, epoch).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(files=FILES, batch_size=st.integers(1, 12), window=st.integers(1, 6), data=st.data())
def test_a_position_has_the_same_image_whoever_else_is_asked_for(files, batch_size, window, data) -> None:
    order = TrainingOrder(rows_per_group=files, seed=7, batch_size=batch_size, window=window)
    some = np.array(data.draw(st.lists(st.integers(0, order.num_images - 1), min_size=1)))
    np.testing.assert_array_equal(order.images_at(3, some), whole_epoch(order, 3)[some])


def test_a_few_steps_of_a_large_data_set_take_memory_of_its_row_groups_and_not_of_its_images() -> None:
    num_groups, rows = 20_000, 1_000  # 20 million images: 160 MB for one number each
    order = TrainingOrder(rows_per_group=((rows,) * num_groups,), seed=0, batch_size=64)
    tracemalloc.start()
    places = order.steps(1000, 1256)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(np.unique(places.image)) == 256 * 64
    assert peak < 100 * num_groups + 400 * places.image.size


@settings(max_examples=60, deadline=None)
@given(files=FILES, seed=st.integers(0, 99), batch_size=st.integers(1, 12))
def test_every_epoch_holds_every_image_once_though_steps_cross_its_ends(files, seed, batch_size) -> None:
    order = TrainingOrder(rows_per_group=files, seed=seed, batch_size=batch_size)
    num_images = sum(map(sum, files))
    places = order.steps(0, -(-3 * num_images // batch_size))
    images, epochs = places.image.ravel(), places.epoch.ravel()
    for epoch in range(3):
        window = slice(epoch * num_images, (epoch + 1) * num_images)
        assert sorted(images[window].tolist()) == list(range(num_images))
        assert set(epochs[window].tolist()) == {epoch}


@settings(max_examples=40, deadline=None)
@given(files=FILES, lanes=st.integers(1, 3), first=st.integers(0, 20))
def test_ranks_take_the_global_batch_apart_whatever_their_number(files, lanes, first) -> None:
    order = TrainingOrder(rows_per_group=files, seed=1, batch_size=4 * lanes)
    whole = order.steps(first, first + 5)
    for world in (1, 2, 4):
        shares = [order.steps(first, first + 5, rank, world) for rank in range(world)]
        for field in FIELDS:
            together = np.stack([getattr(share, field) for share in shares], axis=-1).reshape(5, 4 * lanes)
            np.testing.assert_array_equal(together, getattr(whole, field))


def test_a_place_names_the_file_the_row_group_and_the_row_of_its_image() -> None:
    files = ((3, 1), (2,), (1, 4, 2))
    order = TrainingOrder(rows_per_group=files, seed=0, batch_size=3)
    images = [(f, g, r) for f, groups in enumerate(files) for g, rows in enumerate(groups) for r in range(rows)]
    places = order.steps(0, 40)
    found = zip(places.file.ravel(), places.group.ravel(), places.row.ravel(), strict=True)
    assert [tuple(map(int, place)) for place in found] == [images[image] for image in places.image.ravel()]


def test_steps_may_begin_anywhere() -> None:
    order = TrainingOrder(rows_per_group=((5, 5, 3), (7,)), seed=9, batch_size=6)
    whole = order.steps(0, 30)
    for first in (1, 7, 29):
        later = order.steps(first, 30)
        for field in FIELDS:
            np.testing.assert_array_equal(getattr(later, field), getattr(whole, field)[first:])


def test_epochs_and_seeds_differ_and_equal_ones_do_not() -> None:
    first = whole_epoch(even_order(), 0)
    assert np.array_equal(first, whole_epoch(even_order(), 0))
    assert not np.array_equal(first, whole_epoch(even_order(), 1))
    assert not np.array_equal(first, whole_epoch(even_order(seed=4), 0))


def test_no_batch_holds_two_images_of_one_row_group_where_lanes_end_with_row_groups() -> None:
    order = even_order()  # 1024 images: a lane is 8 whole row groups
    places = order.steps(0, 128)
    for files, groups in zip(places.file.tolist(), places.group.tolist(), strict=True):
        assert len(set(zip(files, groups, strict=True))) == 8


def test_two_ranks_share_row_groups_only_where_lanes_meet() -> None:
    order = TrainingOrder(rows_per_group=((16,) * 40,), seed=2, batch_size=12)  # a lane ends inside a row group
    for world in (2, 3, 4):
        shares = [order.steps(0, 640 // 12, rank, world) for rank in range(world)]
        needed = [set(zip(share.file.ravel(), share.group.ravel(), strict=True)) for share in shares]
        repeated = sum(map(len, needed)) - len(set().union(*needed))
        assert 0 < repeated <= 11  # as many as there are seams


def test_a_lane_is_read_front_to_back_with_at_most_two_full_row_groups_open() -> None:
    order = TrainingOrder(rows_per_group=((16,) * 37, (16,) * 20), seed=2, batch_size=7)
    places = order.steps(0, order.num_images // 7)
    for lane in range(7):
        groups = list(zip(places.file[:, lane].tolist(), places.group[:, lane].tolist(), strict=True))
        uses = {key: [step for step, other in enumerate(groups) if other == key] for key in groups}
        spans = [(min(steps), max(steps)) for steps in uses.values()]
        assert max(sum(first <= step <= last for first, last in spans) for step in range(len(groups))) <= 2


def test_rows_are_shuffled_inside_their_window_and_stay_in_it() -> None:
    order = even_order(batch_size=1)
    images = whole_epoch(order, 0).reshape(-1, 16)  # one lane, whole row groups: a window is a row group
    assert all(len(set((window // 16).tolist())) == 1 for window in images)
    assert sum(window.tolist() == sorted(window.tolist()) for window in images) == 0


@settings(max_examples=40, deadline=None)
@given(files=FILES, batch_size=st.integers(1, 6), patience=st.integers(1, 40))
def test_a_row_group_is_released_by_the_step_after_which_it_is_not_needed_soon(files, batch_size, patience) -> None:
    places = TrainingOrder(rows_per_group=files, seed=0, batch_size=batch_size).steps(0, 60)
    needed = [set(zip(*pair, strict=True)) for pair in zip(places.file.tolist(), places.group.tolist(), strict=True)]
    for step, released in enumerate(places.released(patience)):
        soon = set().union(*needed[step + 1 : step + 1 + patience])
        assert sorted(released) == sorted(needed[step] - soon)


def test_few_row_groups_are_held_however_many_epochs_the_steps_go_through() -> None:
    order = even_order(num_groups=400)  # an epoch is 800 steps
    places = order.steps(0, 4000)
    held: set[tuple[int, int]] = set()
    most, num_read = 0, 0
    for files, groups, released in zip(places.file, places.group, places.released(order.patience), strict=True):
        needed = set(zip(files.tolist(), groups.tolist(), strict=True))
        num_read += len(needed - held)
        held |= needed
        most = max(most, len(held))
        held -= set(released)
    assert most <= 2 * order.batch_size
    assert num_read <= 5 * (400 + order.batch_size)  # once an epoch, and once more where lanes meet


def test_rounds_cover_all_steps_once() -> None:
    assert list(rounds(3, 20, 8)) == [(3, 11), (11, 19), (19, 20)]
    assert list(rounds(5, 5, 8)) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 0}, "batch_size 0"),
        ({"window": 0}, "window 0"),
        ({"rows_per_group": ()}, "0 files with no rows"),
        ({"rows_per_group": ((3, 0),)}, "an empty row group"),
    ],
)
def test_an_order_of_nothing_is_refused(fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingOrder(**{"rows_per_group": ((3,),), "seed": 0, "batch_size": 2, **fields})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1, 0, 3), "rank 0 of 3 has no even share of a batch of 8"),
        ((0, 1, 2, 2), "rank 2 of 2"),
        ((0, 1, -1, 2), "rank -1 of 2"),
        ((3, 2), "steps 3 to 2"),
        ((-1, 2), "steps -1 to 2"),
    ],
)
def test_steps_and_ranks_that_do_not_exist_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        even_order().steps(*arguments)
