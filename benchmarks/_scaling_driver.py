"""What the one driver, and the one reader of a rank, do for a data set of any size: seconds and memory, by simulation.

Indices are those of data sets that do not exist; tasks do nothing. So what is left is what grows with the number of
shards, row groups and tasks, not with the work inside them. Each size runs in a process of its own.
"""

import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import ray
import ray.data

from cluster.tasks import as_they_end
from jobs.scoring import ScoringPass
from jobs.stream import STEPS_PER_ROUND, Shards
from pading.classes import ClassTable
from pading.data.coco.source import scan
from pading.data.shards.index import INDEX_FILE, ShardFile, ShardIndex, content_name
from pading.data.shards.rows import ROWS_PER_GROUP, SCHEMA_VERSION
from pading.data.views.order import TrainingOrder
from pading.evaluate.per_image import ImageScores
from pading.evaluate.row_scores import RowScores
from pading.evaluate.score_files import write_scores
from pading.randomness import derive_seed
from pading.shapes.layout import ShapesConfig
from pading.shapes.writer import write_shapes_world
from pading.splits.published import shapes_panoptic

BATCH, WORLD, RECORDS = 1024, 64, 100


@dataclass(frozen=True, kw_only=True)
class Spent:
    """CPU seconds of one process, and how far its memory rose above what it held before."""

    seconds: float
    peak_mb: float


def alone(work: Callable[..., Spent], *arguments: object) -> Spent:
    """Return what some work takes in a process of its own, which has no more than this one had: no Ray yet."""
    assert not ray.is_initialized(), "its threads would not survive"
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        return pool.submit(work, *arguments).result()


def spent(work: Callable[[], object]) -> Spent:
    """Do some work and return what it took."""
    before, start = resident_mb(), time.process_time()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    work()
    seconds = time.process_time() - start
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    return Spent(seconds=seconds, peak_mb=peak - before)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def index_of(num_images: int, num_shards: int) -> ShardIndex:
    """Return the index of a data set that does not exist, its images spread evenly over its shards."""
    ends = np.linspace(0, num_images, num_shards + 1).astype(int)
    files = []
    for number, rows in enumerate(np.diff(ends).tolist()):
        sha256 = hashlib.sha256(str(number).encode()).hexdigest()
        groups = [ROWS_PER_GROUP] * (rows // ROWS_PER_GROUP) + (
            [rows % ROWS_PER_GROUP] if rows % ROWS_PER_GROUP else []
        )
        name = content_name(number, sha256)
        files.append(ShardFile(name=name, sha256=sha256, num_bytes=rows, rows_per_group=tuple(groups)))
    return ShardIndex(
        schema_version=SCHEMA_VERSION,
        split="made-up",
        part="train",
        classes="0" * 64,
        files=tuple(files),
        counts={"found": num_images, "kept": num_images},
        class_segments=(0,) * 133,
        class_pixels=(0,) * 133,
    )


def read_index(num_images: int, num_shards: int) -> Spent:
    """Read an index back and describe its files to a stream, as the driver does when a training begins."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / INDEX_FILE
        alone(write_index, num_images, num_shards, file)  # what writing it takes is not counted
        return spent(lambda: Shards.of(folder, ShardIndex.from_json(file.read_text(), INDEX_FILE)))


def write_index(num_images: int, num_shards: int, file: Path) -> Spent:
    """Write the text of an index, as the driver does when the last shard is there."""
    index = index_of(num_images, num_shards)
    return spent(lambda: file.write_text(index.to_json()))


def index_writing(num_images: int, num_shards: int) -> Spent:
    with tempfile.TemporaryDirectory() as folder:
        return write_index(num_images, num_shards, Path(folder) / INDEX_FILE)


def plan_round(num_images: int, num_shards: int) -> Spent:
    """Find the images of a rank in a round of steps, as a reading task does."""
    rows_per_group = Shards.of("", index_of(num_images, num_shards)).rows_per_group

    def work() -> None:
        order = TrainingOrder(rows_per_group=rows_per_group, seed=0, batch_size=BATCH)
        order.steps(1, 1 + STEPS_PER_ROUND, 0, WORLD)

    return spent(work)


def plan_round_by_epoch(num_images: int, num_shards: int) -> Spent:
    """Find the same images in an epoch that is laid out as a whole first."""
    rows_per_group = Shards.of("", index_of(num_images, num_shards)).rows_per_group

    def work() -> None:
        numbers = np.arange(BATCH, (1 + STEPS_PER_ROUND) * BATCH, WORLD)
        whole_epoch(rows_per_group, BATCH, 0, 0)[numbers % num_images]

    return spent(work)


def whole_epoch(rows_per_group: tuple[tuple[int, ...], ...], batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Return the images of an epoch in the order of `TrainingOrder`, by sorting all of them at once."""
    lengths = np.array([rows for groups in rows_per_group for rows in groups])
    num_images, starts = int(lengths.sum()), np.cumsum(lengths) - lengths
    generator = np.random.default_rng(derive_seed(seed, "order", epoch))
    permuted = generator.permutation(len(lengths))
    ends = np.cumsum(lengths[permuted])
    read = np.arange(num_images) + np.repeat(starts[permuted] - (ends - lengths[permuted]), lengths[permuted])
    lanes = np.arange(batch_size)
    lane_lengths = num_images // batch_size + (lanes < num_images % batch_size)
    lane_starts = np.cumsum(lane_lengths) - lane_lengths
    in_lane = np.arange(num_images) - np.repeat(lane_starts, lane_lengths)
    windows = np.cumsum(in_lane % ROWS_PER_GROUP == 0)
    read = read[np.lexsort((generator.random(num_images), windows))]
    positions = np.arange(num_images)
    images: np.ndarray = read[lane_starts[positions % batch_size] + positions // batch_size]
    return images


def list_records(times: int) -> Spent:
    """Hold the records of all images of a COCO folder, as the driver does when it cuts them into shares.

    Its annotation file lists the same hundred images so many times, under other ids.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_shapes_world(folder, ShapesConfig(num_train=RECORDS, num_val=1, image_px=32))
        (file,) = folder.rglob("panoptic_train*.json")
        content = json.loads(file.read_text())
        for key, id_name in (("images", "id"), ("annotations", "image_id")):
            content[key] = [
                entry | {id_name: entry[id_name] + n * RECORDS} for n in range(times) for entry in content[key]
            ]
        file.write_text(json.dumps(content))
        return spent(lambda: list(scan(folder, shapes_panoptic(), "train")))


@ray.remote(num_cpus=1)
def _nothing(number: int) -> int:
    return number


def tasks_in_a_window(number: int) -> Spent:
    """Run tasks as our stages do."""

    def work() -> None:
        for _, reference in as_they_end(_nothing.remote, range(number)):
            ray.get(reference)

    return spent(work)


def tasks_at_once(number: int) -> Spent:
    """Submit all of them, then take each as it ends."""

    def work() -> None:
        pending = [_nothing.remote(item) for item in range(number)]
        while pending:
            done, pending = ray.wait(pending)
            ray.get(done)

    return spent(work)


def blocks_of_data(number: int) -> Spent:
    """Run Ray Data over as many blocks, as `shard` has one for each file; seconds are those on the clock."""
    start = time.perf_counter()
    items = [{"share": item} for item in range(number)]
    dataset = ray.data.from_items(items, override_num_blocks=number).map(_same)
    memory = spent(lambda: [row["share"] for row in dataset.iter_rows()])
    return Spent(seconds=time.perf_counter() - start, peak_mb=memory.peak_mb)


def _same(row: dict) -> dict:
    return row


def merge_scores(num_images: int, num_rows: int, together: int) -> Spent:
    """Collect the scores of every row from the files of a pass, so many rows of each file at a time."""
    split = shapes_panoptic()
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for first in range(0, num_images, 64):
            parts.append(Path(folder) / f"{first:08d}.npz")
            write_scores(parts[-1], [scores_of(split.classes, first)] * num_rows)
        scored = ScoringPass(parts=tuple(parts), classes=split.classes, image_ids=tuple(range(num_images)))

        def work() -> None:
            for first in range(0, num_rows, together):
                rows = scored.rows(range(first, min(first + together, num_rows)))
                assert all(len(row.generalised["panoptic"].image_ids) == num_images for row in rows)

        return spent(work)


def scores_of(classes: ClassTable, first: int) -> RowScores:
    """Return made-up panoptic scores of 64 images with eight classes each."""
    ids = np.arange(first, first + 64)
    scores = ImageScores(
        task="panoptic",
        num_classes=classes.num_classes,
        image_ids=ids,
        pair_image_ids=ids.repeat(8),
        pair_classes=np.tile(np.arange(8), 64),
        counts=np.ones((512, 5)),
        detections=None,
    )
    return RowScores(generalised={"panoptic": scores})
