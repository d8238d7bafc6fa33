"""The order of training images: a pure function of seed and step, whatever the number of workers.

A batch of B images has B *lanes*. In every epoch all row groups are permuted, their rows laid end to end and cut into B
contiguous lanes; position p of the epoch is image p // B of lane p mod B. So a batch mixes B distant places while each
lane is read front to back, a row group at a time. Epochs follow one another without a gap: a step may hold the last
images of one and the first of the next. Axes: N images, G row groups, T steps, B images of a step, P positions.

Only the windows that a step falls into are shuffled: the rest of the epoch is never laid out, so that time and memory
go with G and with the steps asked for, not with N.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int

from pading.data.shards.rows import ROWS_PER_GROUP
from pading.randomness import derive_seed


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the images of some steps are. Each array has one row a step and one column an image of that step."""

    epoch: Int[np.ndarray, "T B"]
    image: Int[np.ndarray, "T B"]  # number of the image in the data set, in the order of files and rows
    file: Int[np.ndarray, "T B"]
    group: Int[np.ndarray, "T B"]  # row group inside the file
    row: Int[np.ndarray, "T B"]  # row inside the row group

    def released(self, patience: int) -> list[list[tuple[int, int]]]:
        """Return, for each step, the (file, group) that it needs and none of the `patience` steps after it does."""
        step = np.repeat(np.arange(len(self.file)), self.file.shape[1])
        file, group = self.file.ravel(), self.group.ravel()
        uses = np.lexsort((step, group, file))
        step, file, group = step[uses], file[uses], group[uses]
        is_last = (np.diff(file) != 0) | (np.diff(group) != 0) | (np.diff(step) > patience)
        released: list[list[tuple[int, int]]] = [[] for _ in self.file]
        for use in np.flatnonzero(np.append(is_last, True)).tolist():
            released[step[use]].append((int(file[use]), int(group[use])))
        return released


@dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """The endless order of a data set: number q = epoch * N + p; step t takes the B numbers from t * B on.

    Rank r of W takes the images of a step whose place in it is r modulo W. Within an epoch these are always the same
    lanes, so no two ranks read one row group, except where two lanes meet in it.
    """

    rows_per_group: tuple[tuple[int, ...], ...]  # of every file
    seed: int
    batch_size: int
    window: int = ROWS_PER_GROUP  # rows of a lane that are shuffled among themselves

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.window < 1:
            raise ValueError(f"batch_size {self.batch_size} and window {self.window} must both be at least 1")
        if not self.group_lengths.size or self.group_lengths.min() < 1:
            raise ValueError(f"{len(self.rows_per_group)} files with no rows, or with an empty row group")

    @cached_property
    def group_lengths(self) -> Int[np.ndarray, "G"]:
        """Rows of every row group, file after file."""
        return np.concatenate(
            [np.zeros(0, dtype=np.int64), *(np.array(rows, np.int64) for rows in self.rows_per_group)]
        )

    @cached_property
    def num_images(self) -> int:
        """N."""
        return int(self.group_lengths.sum())

    @property
    def patience(self) -> int:
        """Steps after which a lane that has not needed a row group again has left it behind.

        The rows of a row group lie side by side in a lane, and shuffling takes each to any place of its window.
        """
        return 2 * self.window

    def steps(self, first: int, last: int, rank: int = 0, world: int = 1) -> Places:
        """Return where a rank finds its images of the steps `first` to `last` (excluded).

        Raises:
            ValueError: if the batch does not split evenly over the ranks, or there is no such rank or step.
        """
        if self.batch_size % world or not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world} has no even share of a batch of {self.batch_size} images")
        if not 0 <= first <= last:
            raise ValueError(f"steps {first} to {last}: they are counted from 0 and end after they begin")
        numbers = np.arange(first * self.batch_size + rank, last * self.batch_size, world, dtype=np.int64)
        epochs, positions = np.divmod(numbers.reshape(last - first, self.batch_size // world), self.num_images)
        images = np.empty_like(positions)
        for epoch in np.unique(epochs).tolist():
            inside = epochs == epoch
            images[inside] = self.images_at(epoch, positions[inside])
        return self._places(epochs, images)

    def images_at(self, epoch: int, positions: Int[np.ndarray, "P"]) -> Int[np.ndarray, "P"]:
        """Return the images at some positions of an epoch; all N positions give a permutation of all images."""
        source = np.random.PCG64(derive_seed(self.seed, "order", epoch))
        permuted = np.random.Generator(source).permutation(len(self.group_lengths))
        places = self._shuffled(positions, source)
        ends = np.cumsum(self.group_lengths[permuted])  # of the row groups, in the order of reading
        turns = np.searchsorted(ends, places, side="right")
        into_group = places - ends[turns] + self.group_lengths[permuted[turns]]
        images: np.ndarray = self._group_starts[permuted[turns]] + into_group
        return images

    def _shuffled(self, positions: Int[np.ndarray, "P"], source: np.random.PCG64) -> Int[np.ndarray, "P"]:
        """Return, for each position, its place in the order of reading, after the windows are shuffled.

        Each place has a random key, the one at its number among those that the source gives next; the places of a
        window are sorted by their keys. Neighbouring windows draw together.
        """
        lanes, into_lane = positions % self.batch_size, positions // self.batch_size
        shortest, longer = divmod(self.num_images, self.batch_size)  # the first lanes have one image more
        lane_starts = lanes * shortest + np.minimum(lanes, longer)
        first = lane_starts + into_lane // self.window * self.window
        lane_ends = lane_starts + shortest + (lanes < longer)
        starts, one_each = np.unique(first, return_index=True)
        stops = np.minimum(first + self.window, lane_ends)[one_each]
        places = _ranges(starts, stops - starts)
        windows = np.repeat(starts, stops - starts)
        has_gap = starts[1:] != stops[:-1]
        begins, ends = starts[np.append(True, has_gap)], stops[np.append(has_gap, True)]
        keys = [_draws(source, begin, end) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]
        sorted_places = places[np.lexsort((np.concatenate(keys), windows))]
        shuffled: np.ndarray = sorted_places[np.searchsorted(places, lane_starts + into_lane)]
        return shuffled

    @cached_property
    def _group_starts(self) -> Int[np.ndarray, "G"]:
        starts: np.ndarray = np.cumsum(self.group_lengths) - self.group_lengths
        return starts

    def _places(self, epochs: Int[np.ndarray, "T B"], images: Int[np.ndarray, "T B"]) -> Places:
        groups = np.searchsorted(self._group_starts, images, side="right") - 1  # counted over all files
        groups_per_file = np.array([len(groups) for groups in self.rows_per_group], dtype=np.int64)
        first_groups = np.cumsum(groups_per_file) - groups_per_file
        files = np.searchsorted(first_groups, groups, side="right") - 1
        return Places(
            epoch=epochs,
            image=images,
            file=files,
            group=groups - first_groups[files],
            row=images - self._group_starts[groups],
        )


def rounds(first: int, last: int, steps: int) -> Iterator[tuple[int, int]]:
    """Cut the steps from `first` to `last` into rounds of `steps`, the last of them shorter.

    A round is what one task reads: only the row groups open at the end of a round are read again by the next.
    """
    for start in range(first, last, steps):
        yield start, min(start + steps, last)


def _ranges(starts: Int[np.ndarray, "G"], lengths: Int[np.ndarray, "G"]) -> Int[np.ndarray, "N"]:
    """Return the numbers of every range, one range after the other."""
    ends = np.cumsum(lengths)
    numbers: np.ndarray = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    return numbers


def _draws(source: np.random.PCG64, begin: int, end: int) -> Float64[np.ndarray, "P"]:
    """Return the random numbers `begin` to `end` (excluded) that a source would give next; it stays as it is."""
    ahead = np.random.PCG64()
    ahead.state = source.state
    ahead.advance(begin)
    numbers: np.ndarray = np.random.Generator(ahead).random(end - begin)
    return numbers
