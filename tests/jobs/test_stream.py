"""The training stream through real Ray Data: what it yields depends on seed and step, and on nothing else."""

import hashlib
import io
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest
from PIL import Image

import jobs.stream
from jobs.config import PipelineConfig
from jobs.stream import Shards, StreamConfig, pack_steps, read_steps, training_batches, unpack_steps
from pading.config import override
from pading.data.sample import Sample
from pading.data.shards.rows import encode_row, read_rows, write_shard
from pading.data.views.batch import Batch, batch_arrays
from pading.data.views.jitter import JitterConfig, draw_view
from pading.data.views.order import TrainingOrder
from pading.randomness import derive_seed
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene
from tests.processes import named

ROWS_PER_GROUP = ((16, 16, 3), (16, 2))  # of the two files; 53 images
NUM_IMAGES, BATCH_SIZE = 53, 4
CONFIG = StreamConfig(
    seed=5,
    batch_size=BATCH_SIZE,
    size_px=48,
    max_segments=8,
    has_background=False,
    jitter=JitterConfig(mode="large-scale", turns=True, colour=True),
    read_ahead=2,
    decoders=2,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, encode_jpeg) -> Shards:
    """Two files of scenes; image ids are positions + 100."""
    folder = tmp_path_factory.mktemp("shards")
    config = ShapesConfig(image_px=48, num_train=NUM_IMAGES)
    rows = []
    for index in range(NUM_IMAGES):
        scene = render_scene(config, "train", index)
        sample = Sample(
            image_id=100 + index,
            file_name=f"{index}.jpg",
            image=scene.image,
            label_maps=scene.label_map[None].astype(np.uint16),
            segments=tuple(scene.segments),
        )
        rows.append(encode_row(encode_jpeg(scene.image), sample))
    write_shard(folder / "a.parquet", rows[:35])
    write_shard(folder / "b.parquet", rows[35:])
    return Shards(folder=str(folder), names=("a.parquet", "b.parquet"), rows_per_group=ROWS_PER_GROUP)


@pytest.fixture(scope="module")
def encode_jpeg():
    def encode(image: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=90)
        return buffer.getvalue()

    return encode


def digest(batch: Batch) -> str:
    parts = (batch.images, batch.label_maps, batch.classes, batch.image_ids)
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()


def stream(shards: Shards, first: int, last: int, rank: int = 0, world: int = 1, seed: int = 5) -> dict[int, str]:
    batches = training_batches(replace(CONFIG, seed=seed), shards, first, last, rank, world)
    return {step: digest(batch) for step, batch in batches}


def expected_batch(shards: Shards, step: int, rank: int = 0, world: int = 1) -> Batch:
    """Look every image up and decode it by itself, without Ray."""
    rows = [row for name in shards.names for row in read_rows(Path(shards.folder) / name)]
    order = TrainingOrder(rows_per_group=ROWS_PER_GROUP, seed=CONFIG.seed, batch_size=BATCH_SIZE)
    places = order.steps(step, step + 1, rank, world)
    chosen, views = [], []
    for epoch, image in zip(places.epoch[0].tolist(), places.image[0].tolist(), strict=True):
        row = rows[image]
        draws = np.random.default_rng(derive_seed(CONFIG.seed, "view", epoch, image))
        views.append(draw_view(CONFIG.jitter, row["height"], row["width"], CONFIG.size_px, draws))
        chosen.append(row)
    columns = {name: [row[name] for row in chosen] for name in chosen[0]}
    return Batch.from_arrays(batch_arrays(columns, views, CONFIG.size_px, CONFIG.max_segments, has_background=False))


def test_every_step_holds_the_images_of_the_order_in_their_views(ray_session: None, shards: Shards) -> None:
    found = stream(shards, 0, 30)  # two epochs and more; steps 13 and 26 cross their ends
    assert list(found) == list(range(30))
    for step in (0, 1, 12, 13, 14, 26, 29):
        assert found[step] == digest(expected_batch(shards, step)), step


def test_a_stream_runs_again_the_same_and_may_begin_anywhere(ray_session: None, shards: Shards) -> None:
    whole = stream(shards, 0, 20)
    assert stream(shards, 0, 20) == whole
    assert stream(shards, 11, 20) == {step: whole[step] for step in range(11, 20)}
    assert not set(stream(shards, 0, 5, seed=6).values()) & set(whole.values())


def test_two_workers_see_what_one_sees_and_none_is_lost(ray_session: None, shards: Shards) -> None:
    # Both at once, as two ranks run: two executions share two CPUs.
    pair = zip(*(training_batches(CONFIG, shards, 0, 27, rank, 2) for rank in range(2)), strict=True)
    seen = []
    for (step, first), (other, second) in pair:
        assert step == other
        for rank, batch in enumerate((first, second)):
            if step % 9 == 0:
                assert digest(batch) == digest(expected_batch(shards, step, rank, 2))
        seen += np.stack([first.image_ids.numpy(), second.image_ids.numpy()], axis=-1).ravel().tolist()
    order = TrainingOrder(rows_per_group=ROWS_PER_GROUP, seed=CONFIG.seed, batch_size=BATCH_SIZE)
    assert seen == (100 + order.steps(0, 27).image.ravel()).tolist()
    for epoch in range(2):
        assert sorted(seen[epoch * NUM_IMAGES :][:NUM_IMAGES]) == list(range(100, 100 + NUM_IMAGES))


@pytest.mark.parametrize(
    ("split", "has_background"), [("shapes-panoptic", False), ("shapes-semantic", False), ("shapes-instances", True)]
)
def test_only_instances_have_a_background(split: str, has_background: bool) -> None:
    config = override(PipelineConfig(preset="any"), {"data.split": split, "seed": 3, "pretrain.batch_size": 6})
    asked = StreamConfig.of(config)
    assert (asked.has_background, asked.seed, asked.batch_size) == (has_background, 3, 6)


def test_no_steps_are_no_stream(shards: Shards) -> None:
    assert stream(shards, 7, 7) == {}


def executors(expected: int) -> int:
    """Number of processes that run a stream's execution, once it is the expected one or 30 seconds have passed."""
    patience = time.monotonic() + 30
    while True:
        found = len(named("SplitCoordinator"))
        if found == expected or time.monotonic() > patience:
            return found
        time.sleep(0.1)


def test_a_closed_stream_leaves_no_executor_behind(ray_session: None, shards: Shards) -> None:
    assert executors(0) == 0  # those of other tests need a moment to end
    with closing(training_batches(CONFIG, shards, 0, 100_000)) as batches:
        next(batches)
        assert executors(1) == 1
    assert executors(0) == 0


def stored_bytes() -> int:
    """Memory of the object store that its busiest user, here the reader, has written to."""
    return max(process.memory_info().shared for process in psutil.Process().children(recursive=True))


def executor_cpu_s() -> float:
    """CPU time of the process that runs the stream's execution."""
    return sum(sum(process.cpu_times()[:2]) for process in named("SplitCoordinator"))


@pytest.mark.slow
def test_a_trainer_that_pauses_is_left_the_memory_and_the_processor(
    ray_session: None, encode_jpeg, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    sample = Sample(
        image_id=1,
        file_name="noise.jpg",
        image=noise,
        label_maps=np.zeros((1, 512, 512), np.uint16),
        segments=(),
    )
    write_shard(tmp_path / "noise.parquet", [encode_row(encode_jpeg(noise), sample)] * 64)
    shards = Shards(folder=str(tmp_path), names=("noise.parquet",), rows_per_group=((16,) * 4,))
    large = replace(CONFIG, size_px=512, batch_size=16, read_ahead=1)
    with closing(training_batches(large, shards, 0, 1_000_000)) as batches:
        next(batches)
        time.sleep(6)
        before, spent_s = stored_bytes(), executor_cpu_s()
        time.sleep(3)
        spent_s = executor_cpu_s() - spent_s
    assert stored_bytes() - before < 32 * 2**20
    assert spent_s < 0.6  # it would be 3 s without rests


def test_a_shard_that_is_not_what_the_index_says_stops_the_stream(ray_session: None, shards: Shards) -> None:
    other = replace(shards, rows_per_group=((16, 16, 4), (16, 2)))
    with pytest.raises(ValueError, match=r"a\.parquet: row group 2 has 3 rows, the index says 4"):
        list(training_batches(CONFIG, other, 0, 14))
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet"):
        list(training_batches(CONFIG, replace(shards, names=("gone.parquet", "b.parquet")), 0, 14))


def test_a_reader_reads_each_row_group_once_in_an_epoch(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    original = jobs.stream.read_row_group

    def counting(filesystem, path, group):
        read.append((Path(path).name, group))
        return original(filesystem, path, group)

    monkeypatch.setattr(jobs.stream, "read_row_group", counting)
    rounds = {"first": np.array([0]), "last": np.array([NUM_IMAGES // BATCH_SIZE])}
    blocks = list(read_steps(rounds, CONFIG, shards, 0, 1))
    assert [step for block in blocks for step, _ in unpack_steps(block)] == list(range(NUM_IMAGES // BATCH_SIZE))
    assert len(set(read)) == 5
    assert len(read) <= 5 + BATCH_SIZE - 1  # once more at most for each of the seams between lanes


def test_packed_steps_are_one_row_and_unpack_to_the_same_rows() -> None:
    rows = pa.table({"image": [b"ab", b"", b"cd"], "segments": [[1, 2], [], [3]]}).slice(1)
    packed = pa.concat_tables([pack_steps(4, [rows, rows.slice(1)]), pack_steps(6, [rows.slice(1)])])
    assert packed.num_rows == 2
    first, second = {"image": b"", "segments": []}, {"image": b"cd", "segments": [3]}
    found = [(step, rows.to_pylist()) for block in (packed[:1], packed[1:]) for step, rows in unpack_steps(block)]
    assert found == [(4, [first, second]), (5, [second]), (6, [second])]
