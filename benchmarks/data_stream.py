"""Training-ready batches of 640 px with large-scale jitter: our stream, a torch DataLoader, and the bare decoders.

All three read the same shards with the same number of decoding processes, in turn, so that a busy machine slows all of
them alike; stream and loader cut the same views with the same functions. CPU time is that of the whole process tree.
`--data DIR` takes the photos of a COCO folder; otherwise scenes of the shapes world are drawn, stored at COCO's size.
"""

import argparse
import io
import itertools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from pyarrow.fs import LocalFileSystem

from benchmarks._process_tree import Cost, ProcessTree
from cluster.session import connect
from jobs.stream import Shards, StreamConfig, training_batches
from pading.data.coco.source import load, read
from pading.data.images import encode_png
from pading.data.sample import Sample
from pading.data.shards.rows import (
    ROWS_PER_GROUP,
    decode_row_labels,
    encode_row,
    read_row_group,
    read_rows,
    write_shard,
)
from pading.data.views.batch import batch_arrays
from pading.data.views.jitter import JitterConfig, draw_view
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene
from pading.splits.published import find_split

NUM_IMAGES, FILES, SIDE_PX, JPEG_QUALITY = 384, 4, 640, 97  # about 150 KB a scene
WARMUP_STEPS, STEPS, ROUNDS = 48, 96, 3  # more than what lies read or decoded when counting begins
REPEATS, MEMORY_STEPS = (1, 10, 100), 480
CONFIG = StreamConfig(
    seed=0,
    batch_size=16,
    size_px=SIDE_PX,
    max_segments=100,
    has_background=False,
    jitter=JitterConfig(mode="large-scale"),
    decoders=2,
    read_ahead=4,
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks data_stream")
    parser.add_argument("--data", type=Path, help="COCO folder; its training photos are used")
    parser.add_argument("--split", default="coco-panoptic-119-14", help="benchmark to read the folder as")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 8), help="decoding processes")
    options = parser.parse_args(sys.argv[2:])
    with tempfile.TemporaryDirectory() as name:
        rows = coco_rows(options.data, options.split) if options.data else shapes_rows()
        shards, stored_bytes = write_files(rows, Path(name))
        measure(shards, stored_bytes, options.workers)


def measure(shards: Shards, stored_bytes: int, workers: int) -> None:
    peaks = {times: in_a_new_process(peak_mb, repeat(shards, times), workers) for times in REPEATS}
    connect(num_cpus=workers)
    num_images = sum(map(sum, shards.rows_per_group))
    print(
        f"{num_images} images of {stored_bytes / num_images / 1000:.0f} KB, batches of {CONFIG.batch_size} at "
        f"{SIDE_PX} px, {workers} decoding processes, {ROUNDS} rounds of {STEPS} steps"
    )
    ways = {
        "stream": lambda: our_images(shards, workers),
        "DataLoader": lambda: peer_images(shards, workers),
        "bare decoders": lambda: decoded_images(shards, workers),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            costs[name].append(cost_of(way, STEPS))
    print(f"{'':14} {'images/s':>9} {'CPU ms/image':>13} {'peak MB':>8}   (medians)")
    for name, taken in costs.items():
        print(
            f"{name:14} {_median(taken, 'rate'):9.1f} {_median(taken, 'cpu_ms'):13.2f} {_median(taken, 'peak_mb'):8.0f}"
        )
    repeated = ", ".join(f"{peak:.0f} MB ({times} times the data)" for times, peak in peaks.items())
    print(f"peak memory of the stream over {MEMORY_STEPS} steps: {repeated}")
    result = {
        "benchmark": "data_stream",
        "unit": "images per second",
        "ours": _median(costs["stream"], "rate"),
        "peer": _median(costs["DataLoader"], "rate"),
        "ratio": _ratio(costs["stream"], costs["DataLoader"], "rate"),
        "decoders": _median(costs["bare decoders"], "rate"),
        "ratio_to_decoders": _ratio(costs["stream"], costs["bare decoders"], "rate"),
        "cpu_ratio": _ratio(costs["DataLoader"], costs["stream"], "cpu_ms"),
        "cpu_ratio_to_decoders": _ratio(costs["bare decoders"], costs["stream"], "cpu_ms"),
        "peak_mb": peaks,
    }
    print(json.dumps(result))


def in_a_new_process(function, *arguments):
    """Return what a function gives where no earlier run has left anything in memory."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def repeat(shards: Shards, times: int) -> Shards:
    return replace(shards, names=shards.names * times, rows_per_group=shards.rows_per_group * times)


def peak_mb(shards: Shards, workers: int) -> float:
    connect(num_cpus=workers)
    return cost_of(lambda: our_images(shards, workers), MEMORY_STEPS).peak_mb


def cost_of(way, steps: int) -> Cost:
    """Return what an image costs once the queues that were filled at the start have been emptied."""
    with way() as batches, ProcessTree() as tree:
        for _ in range(WARMUP_STEPS):
            next(batches)
        tree.begin()
        num_images = sum(next(batches) for _ in range(steps))
        return tree.end(num_images)


@contextmanager
def our_images(shards: Shards, workers: int) -> Iterator[Iterator[int]]:
    """The stream, as a training worker has it."""
    with closing(training_batches(replace(CONFIG, decoders=workers), shards, 0, 1_000_000)) as batches:
        yield (len(batch.images) for _, batch in batches)


@contextmanager
def peer_images(shards: Shards, workers: int) -> Iterator[Iterator[int]]:
    """A DataLoader whose workers share out the row groups and hand over collated batches in shared memory."""
    loader = torch.utils.data.DataLoader(
        RowGroups(shards),
        batch_size=CONFIG.batch_size,
        num_workers=workers,
        prefetch_factor=CONFIG.read_ahead,
        multiprocessing_context="forkserver",
    )
    batches = iter(loader)
    yield (len(batch["images"]) for batch in batches)
    batches._shutdown_workers()


class RowGroups(torch.utils.data.IterableDataset):
    """Endless single images: each worker has every k-th row group, in a new order each epoch."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        torch.set_num_threads(1)
        worker = torch.utils.data.get_worker_info()
        groups = [(file, group) for file, rows in enumerate(self.shards.rows_per_group) for group in range(len(rows))]
        generator = np.random.default_rng(worker.id)
        filesystem = LocalFileSystem()
        mine = groups[worker.id :: worker.num_workers]
        for file, group in itertools.chain.from_iterable(generator.permutation(mine) for _ in itertools.count()):
            path = f"{self.shards.folder}/{self.shards.names[file]}"
            for row in read_row_group(filesystem, path, int(group)).to_pylist():
                view = draw_view(CONFIG.jitter, row["height"], row["width"], SIDE_PX, generator)
                one = {name: [value] for name, value in row.items()}
                arrays = batch_arrays(one, [view], SIDE_PX, CONFIG.max_segments, has_background=False)
                yield {name: array[0] for name, array in arrays.items()}


@contextmanager
def decoded_images(shards: Shards, workers: int) -> Iterator[Iterator[int]]:
    """Every photo, and its labels as a grey PNG, decoded whole by Pillow, from memory, and thrown away."""
    paths = [Path(shards.folder) / name for name in shards.names]
    with ProcessPoolExecutor(workers, get_context("spawn"), _load, (paths,)) as pool:
        num_groups = sum(map(len, shards.rows_per_group))
        tasks = (index % num_groups for index in range(WARMUP_STEPS + STEPS))
        yield pool.map(_decode, tasks)
        pool.shutdown(cancel_futures=True)


_ROWS: list[list[bytes]] = []  # of a process of the pool


def _load(paths: list[Path]) -> None:
    for row in (row for path in paths for row in read_rows(path)):
        _ROWS.append([row["image"], *(encode_png(layer) for layer in decode_row_labels(row))])


def _decode(group: int) -> int:
    rows = _ROWS[group * ROWS_PER_GROUP :][:ROWS_PER_GROUP]
    for content in itertools.chain.from_iterable(rows):
        np.asarray(Image.open(io.BytesIO(content)))
    return len(rows)


def shapes_rows() -> Iterator[dict]:
    config = ShapesConfig(image_px=SIDE_PX, num_train=NUM_IMAGES, size_jitter=0.2)
    for index in range(NUM_IMAGES):
        scene = render_scene(config, "train", index)
        jpeg = io.BytesIO()
        Image.fromarray(scene.image).save(jpeg, "JPEG", quality=JPEG_QUALITY)
        sample = Sample(
            image_id=index,
            file_name=f"{index}.jpg",
            image=scene.image,
            label_maps=scene.label_map[None].astype(np.uint16),
            segments=tuple(scene.segments),
        )
        yield encode_row(jpeg.getvalue(), sample)


def coco_rows(root: Path, name: str) -> Iterator[dict]:
    split = find_split(name)
    for record in itertools.islice(read(root, split, "train"), NUM_IMAGES):
        image = load(record, split, "train")
        yield encode_row(image.jpeg, image.sample, image.hidden_px)


def write_files(rows: Iterator[dict], folder: Path) -> tuple[Shards, int]:
    """Write the rows as files of whole row groups; return where they are and the size of all."""
    per_file = NUM_IMAGES // FILES // ROWS_PER_GROUP * ROWS_PER_GROUP
    for number in itertools.count():
        if not (part := list(itertools.islice(rows, per_file))):
            break
        write_shard(folder / f"part-{number:05d}.parquet", part)
    paths = sorted(folder.glob("*.parquet"))
    metadata = [pq.read_metadata(path) for path in paths]
    groups = tuple(tuple(file.row_group(i).num_rows for i in range(file.num_row_groups)) for file in metadata)
    shards = Shards(folder=str(folder), names=tuple(path.name for path in paths), rows_per_group=groups)
    return shards, sum(path.stat().st_size for path in paths)


def _median(costs: list[Cost], field: str) -> float:
    return statistics.median(getattr(cost, field) for cost in costs)


def _ratio(above: list[Cost], below: list[Cost], field: str) -> float:
    return statistics.median(getattr(a, field) / getattr(b, field) for a, b in zip(above, below, strict=True))


if __name__ == "__main__":
    main()
