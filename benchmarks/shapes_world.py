"""How many scenes of the shapes world are drawn and written a second, by one process and by two.

The yardstick is a fixed demand, 200 images a second on two cores: below it, making the data would delay the demo.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from pading.shapes.captions import CaptionConfig, caption_crop
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene
from pading.shapes.writer import write_annotations, write_images

NUM_IMAGES, NUM_CROPS, SHARE = 2000, 2000, 125
DEMANDED_PER_S = 200


def main() -> None:
    config = ShapesConfig(num_train=NUM_IMAGES)
    rates = {"render, one process": _measure(NUM_IMAGES, lambda: _render(config))}
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one"
        rates["render and write, one process"] = _measure(NUM_IMAGES, lambda: _write(one, config))
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            list(pool.map(_warm_up, range(4)))  # starting an interpreter is not what is measured
            two = Path(folder) / "two"
            rates["render and write, two processes"] = _measure(NUM_IMAGES, lambda: _write_shared(two, config, pool))
        size_bytes = sum(path.stat().st_size for path in one.rglob("*") if path.is_file())
    rates["captioned crops, one process"] = _measure(NUM_CROPS, _caption)
    print(
        f"{NUM_IMAGES} scenes of about {config.image_px} px, {size_bytes / NUM_IMAGES / 1024:.1f} KiB each, "
        f"{os.cpu_count()} cores"
    )
    print(f"{'':34} {'/s':>8} {'/CPU s':>8}")
    for name, (rate, cpu_rate) in rates.items():
        # The parent of two workers only waits: its own CPU time says nothing.
        print(f"{name:34} {rate:8.0f} {'' if 'two' in name else format(cpu_rate, '8.0f')}")
    ours, _ = rates["render and write, two processes"]
    result = {"benchmark": "shapes_world", "ours": ours, "peer": DEMANDED_PER_S, "ratio": ours / DEMANDED_PER_S}
    print(json.dumps(result))


def _measure(count: int, work: Callable[[], None]) -> tuple[float, float]:
    """Return how many a second of the clock, and how many a second of this process's own CPU time."""
    start, cpu_start = time.perf_counter(), time.process_time()
    work()
    return count / (time.perf_counter() - start), count / (time.process_time() - cpu_start)


def _render(config: ShapesConfig) -> None:
    for index in range(NUM_IMAGES):
        render_scene(config, "train", index)


def _write(root: Path, config: ShapesConfig) -> None:
    write_annotations(root, config, "train", write_images(root, config, "train", range(NUM_IMAGES)))


def _write_shared(root: Path, config: ShapesConfig, pool: ProcessPoolExecutor) -> None:
    shares = [range(start, min(start + SHARE, NUM_IMAGES)) for start in range(0, NUM_IMAGES, SHARE)]
    futures = [pool.submit(write_images, root, config, "train", share) for share in shares]
    write_annotations(root, config, "train", [record for future in futures for record in future.result()])


def _warm_up(index: int) -> None:
    render_scene(ShapesConfig(), "val", index)


def _caption() -> None:
    config = CaptionConfig()
    for index in range(NUM_CROPS):
        caption_crop(config, index)


if __name__ == "__main__":
    main()
