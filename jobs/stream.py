"""The training stream: shards -> Ray Data -> batches of one rank, ready for the network, from any step on.

What a step sees is a function of seed and step alone (`pading/data/views/order.py`). So each rank runs one execution
of its own for all steps that are left, instead of taking a share of a common one: no rank waits for another, nothing
starts anew with an epoch, no row is dropped to make shares even, and a resumed run begins at its step.

    rounds of steps -> `read_steps`, anywhere on the cluster: blocks of a few steps, images still JPEG bytes ->
    `decode_step`, in threads of the training process: arrays that nothing copies again
"""

import itertools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
import torch
from ray.data import DataContext, ExecutionResources
from ray.data._internal.execution.execution_callback import ExecutionCallback

from cluster.filesystem import open_location
from jobs.config import PipelineConfig
from pading.data.errors import DataError
from pading.data.shards.index import ShardIndex
from pading.data.shards.label_maps import WRITE_AGAIN
from pading.data.shards.rows import read_row_group
from pading.data.views.batch import Batch, batch_arrays
from pading.data.views.jitter import JitterConfig, draw_view
from pading.data.views.memory import BatchMemory
from pading.data.views.order import TrainingOrder, rounds
from pading.randomness import derive_seed

STEPS_PER_ROUND, MAX_ROUNDS = 256, 200  # a round is a reading task; row groups open at its end are read once more
ENCODED_BYTES = 250_000  # of a photo with its label maps; a generous guess, for the memory limit only
BLOCK_BYTES, MIN_BUFFER_BYTES = 32 * 2**20, 128 * 2**20  # Ray Data spends about 10 ms of CPU on a block
BREATH_S = 0.02
STEP, STEPS, EPOCH, IMAGE = "first_step", "steps", "epoch", "image_number"


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """What the batches of a training depend on, and how they are made."""

    seed: int
    batch_size: int  # of all ranks together
    size_px: int
    max_segments: int
    has_background: bool
    jitter: JitterConfig
    decoders: int  # threads of a rank
    read_ahead: int  # batches of a rank that are being decoded, or wait decoded

    @staticmethod
    def of(config: PipelineConfig) -> "StreamConfig":
        """Return the stream that a pipeline's training asks for."""
        data, pretrain = config.data, config.pretrain
        return StreamConfig(
            seed=config.seed,
            batch_size=pretrain.batch_size,
            size_px=data.input_px,
            max_segments=data.max_segments,
            has_background=config.task == "instance",
            jitter=pretrain.jitter,
            decoders=pretrain.decoders,
            read_ahead=pretrain.read_ahead,
        )


@dataclass(frozen=True, kw_only=True)
class Shards:
    """The files that a stream reads: their location, names and row groups."""

    folder: str
    names: tuple[str, ...]
    rows_per_group: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(folder: str, index: ShardIndex) -> "Shards":
        """Return the files of an index that lies in a folder."""
        return Shards(
            folder=folder,
            names=tuple(file.name for file in index.files),
            rows_per_group=tuple(file.rows_per_group for file in index.files),
        )


class Breather(ExecutionCallback):
    """Lets Ray Data's loop rest between its turns.

    While a block waits that the limit on memory does not let through, which is nearly always, the loop would turn
    without a pause and take a whole core from the training.
    """

    def on_execution_step(self, executor: Any) -> None:
        """Sleep; blocks hold seconds of training."""
        time.sleep(BREATH_S)


def training_batches(
    config: StreamConfig, shards: Shards, first_step: int, last_step: int, rank: int = 0, world: int = 1
) -> Iterator[tuple[int, Batch]]:
    """Yield a rank's (step, batch) for the steps from `first_step` to `last_step` (excluded), in order, none left out.

    Closing the iterator ends the reading and decoding behind it; so does the end of this process, however it ends.

    Raises:
        FileNotFoundError: if a shard is missing.
        ValueError: if a shard is damaged, or is not what the index says.
    """
    steps = max(STEPS_PER_ROUND, -(-(last_step - first_step) // MAX_ROUNDS))
    tasks = [{"first": first, "last": last} for first, last in rounds(first_step, last_step, steps)]
    if not tasks:
        return
    settings = {"config": config, "shards": shards, "rank": rank, "world": world}
    with DataContext.current(_context(config, world)):
        dataset = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
            read_steps,
            fn_kwargs=settings,
            batch_size=None,
            num_cpus=0,  # it waits for the decoders nearly all the time
            concurrency=1,
        )
    (share,) = dataset.streaming_split(1)  # its executor is a process of its own, and leaves the trainer's GIL alone
    blocks = iter(share.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1))
    encoded = itertools.chain.from_iterable(map(unpack_steps, blocks))
    pool = ThreadPoolExecutor(config.decoders, "decoder", torch.set_num_threads, (1,))
    memory = BatchMemory()
    waiting: deque[Future[dict[str, np.ndarray]]] = deque()
    try:
        for step in range(first_step, last_step):
            while len(waiting) < min(config.read_ahead, last_step - step):
                number, rows = next(encoded)
                assert number == step + len(waiting), "Ray Data was told to keep the order"
                waiting.append(pool.submit(decode_step, rows, config, memory))
            yield step, Batch.from_arrays(waiting.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)
        blocks.close()


def read_steps(
    batch: dict[str, np.ndarray], config: StreamConfig, shards: Shards, rank: int, world: int
) -> Iterator[pa.Table]:
    """Ray Data map from rounds to the rank's rows of each step, a few steps a block.

    A row group is held while its lane reads it: at any time one or two for each image of a batch, three about a short
    one. Where two lanes meet in one it is read for each.
    """
    order = TrainingOrder(rows_per_group=shards.rows_per_group, seed=config.seed, batch_size=config.batch_size)
    filesystem, folder = open_location(shards.folder)
    block_steps = max(BLOCK_BYTES // _step_bytes(config, world), 1)
    for first, last in zip(batch["first"].tolist(), batch["last"].tolist(), strict=True):
        places = order.steps(first, last, rank, world)
        released = places.released(order.patience)
        groups: dict[tuple[int, int], pa.Table] = {}
        steps: list[pa.Table] = []
        for offset in range(last - first):
            needed = list(zip(places.file[offset].tolist(), places.group[offset].tolist(), strict=True))
            for file, group in needed:
                if (file, group) not in groups:
                    table = read_row_group(filesystem, f"{folder}/{shards.names[file]}", group)
                    _check_rows(table, shards, file, group)
                    groups[file, group] = table
            rows = [groups[key].slice(row, 1) for key, row in zip(needed, places.row[offset].tolist(), strict=True)]
            step = pa.concat_tables(rows).append_column(EPOCH, pa.array(places.epoch[offset]))
            steps.append(step.append_column(IMAGE, pa.array(places.image[offset])))
            for key in released[offset]:
                del groups[key]
            if len(steps) == block_steps or offset == last - first - 1:
                yield pack_steps(first + offset + 1 - len(steps), steps)
                steps = []


def decode_step(packed: pa.StructArray, config: StreamConfig, memory: BatchMemory) -> dict[str, np.ndarray]:
    """Return the rows of a step as `Batch.from_arrays` takes them.

    The view of an image is drawn by (seed, epoch, image), whoever asks for it.
    """
    rows: dict[str, list[Any]] = pa.Table.from_struct_array(packed).to_pydict()
    sizes = zip(rows["height"], rows["width"], rows[EPOCH], rows[IMAGE], strict=True)
    views = [
        draw_view(config.jitter, height, width, config.size_px, _view_generator(config.seed, epoch, image))
        for height, width, epoch, image in sizes
    ]
    return batch_arrays(
        rows,
        views,
        config.size_px,
        config.max_segments,
        has_background=config.has_background,
        zeros=memory.zeros,
    )


def pack_steps(first_step: int, steps: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of consecutive steps as one row that holds a list of steps, each a list of rows.

    Ray Data cuts and joins blocks between rows only, so that this row stays one block, whatever its size.
    """
    (rows,) = pa.concat_tables(steps).combine_chunks().to_struct_array().chunks
    ends = itertools.accumulate((step.num_rows for step in steps), initial=0)
    by_step = pa.ListArray.from_arrays(list(ends), rows)
    return pa.table({STEP: [first_step], STEPS: pa.ListArray.from_arrays([0, len(steps)], by_step)})


def unpack_steps(packed: pa.Table) -> Iterator[tuple[int, pa.StructArray]]:
    """Yield what `pack_steps` was given, each step with its number."""
    (first_step,), (steps,) = packed[STEP].to_pylist(), packed[STEPS]
    for offset, rows in enumerate(steps):
        yield first_step + offset, rows.values


def _view_generator(seed: int, epoch: int, image: int) -> np.random.Generator:
    return np.random.default_rng(derive_seed(seed, "view", epoch, image))


def _check_rows(table: pa.Table, shards: Shards, file: int, group: int) -> None:
    if table.num_rows != (expected := shards.rows_per_group[file][group]):
        what = f"row group {group} has {table.num_rows} rows, the index says {expected}"
        raise DataError(f"{shards.folder}/{shards.names[file]}", what, WRITE_AGAIN)


def _step_bytes(config: StreamConfig, world: int) -> int:
    return config.batch_size // world * ENCODED_BYTES


def _context(config: StreamConfig, world: int) -> DataContext:
    """Return how Ray Data runs one rank's stream: in order, in blocks as they were packed, in bounded memory."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True  # the wrapper would lose which file was bad and why
    context.target_max_block_size = 1  # byte: a block is closed as soon as it holds a row
    context.execution_no_progress_timeout_s = -1  # a trainer may well pause, to save or to wait for a rank
    # Without it, decoders that wait for a slow trainer count as stuck and the reader is let past its limit to help.
    context.object_store_memory_pressure_fraction = 0.1
    context.custom_execution_callback_classes = [Breather]
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = ExecutionResources.for_limits(
        object_store_memory=max(4 * config.read_ahead * _step_bytes(config, world), MIN_BUFFER_BYTES)
    )
    return context
