"""Panoptic counting: ours from the cache's bytes, beside torchmetrics and panopticapi's way, both from memory.

panopticapi's way is a Python step for each pair of segments, as in tests/references; of the peers, unpacking and file
reading are not timed. All sides count the same images, one after the other in turn, and must agree.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from pading.data.sample import Segment
from pading.evaluate.panoptic import PanopticTally, count_image
from pading.evaluate.predictions import ImagePrediction, from_row, to_row
from pading.segmenter.torchvision_on_cpu import make_torchvision_importable
from tests.references.evaluate_panoptic import count_pairs, pairs_by_unique, predicted_segments, true_segments

HEIGHT, WIDTH, NUM_CLASSES = 480, 640, 133
DISTINCT = 50  # images that are made; more are these again


def random_case(num_segments: int, seed: int) -> SimpleNamespace:
    """Return maps of rectangles painted over each other; the prediction is the truth moved by a few pixels."""
    rng = np.random.default_rng(seed)
    label_map = np.zeros((HEIGHT, WIDTH), dtype=np.uint16)
    for label in range(1, num_segments + 1):
        top, left = rng.integers(0, HEIGHT * 3 // 4), rng.integers(0, WIDTH * 3 // 4)
        label_map[top : top + HEIGHT // 3, left : left + WIDTH // 3] = label
    present = np.unique(label_map[label_map > 0])  # every segment has a pixel, as in COCO
    label_map = np.where(label_map > 0, np.searchsorted(present, label_map) + 1, 0).astype(np.uint16)
    segments = tuple(
        Segment(segment_id=int(label), class_index=int(rng.integers(NUM_CLASSES)), is_crowd=False, area_px=1)
        for label in present
    )
    predicted = np.roll(label_map, (3, 5), (0, 1)).astype(np.int32)
    image = ImagePrediction(
        image_id=seed,
        height=HEIGHT,
        width=WIDTH,
        content_height=1,
        content_width=1,
        input_px=1,
        query_embeddings=np.zeros((1, 1), np.float32),
        mask_logits=np.ones((1, 1, 1), np.float16),
        label_maps=label_map[None],
        segments=segments,
    )
    classes = np.array([segment.class_index for segment in segments], dtype=np.int64)
    return SimpleNamespace(
        row=to_row(image), predicted=predicted, classes=classes, label_map=label_map, segments=segments
    )


def ours(case: SimpleNamespace) -> PanopticTally:
    """Unpack an image as it lies in the cache, checksum and all, and count it."""
    image = from_row(case.row)
    return count_image(case.predicted, case.classes, image.label_map, image.segments, NUM_CLASSES)


def ours_in_memory(case: SimpleNamespace) -> PanopticTally:
    """Count an image whose maps lie in memory, as they do for the peers."""
    return count_image(case.predicted, case.classes, case.label_map, case.segments, NUM_CLASSES)


def by_pairs(case: SimpleNamespace) -> Any:
    """Count as panopticapi does; the truth's areas come from its JSON file, so they are not timed."""
    prediction = predicted_segments(case.predicted, case.classes)
    return count_pairs(pairs_by_unique(case.label_map, case.predicted), case.truth, prediction)


def torchmetrics_counter() -> Callable[[SimpleNamespace], Any] | None:
    """Return a function that counts one image by torchmetrics; None, and why, where it is not installed."""
    make_torchvision_importable()
    try:
        from torchmetrics.detection import PanopticQuality
    except ImportError as error:
        print(f"torchmetrics is left out: {error}")
        return None
    metric = PanopticQuality(things=set(range(NUM_CLASSES)), stuffs=set(), allow_unknown_preds_category=True)
    return lambda case: metric.update(case.pictures[0], case.pictures[1])


def pictures(case: SimpleNamespace) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prediction and truth as torchmetrics wants them: class and number of every pixel, void a class more."""
    table = torch.tensor([NUM_CLASSES, *case.classes.tolist()])
    labels = (torch.from_numpy(case.predicted.astype(np.int64)), torch.from_numpy(case.label_map.astype(np.int64)))
    first, second = (torch.stack([table[label], label], dim=-1)[None] for label in labels)
    return first, second


def timed(function: Callable, cases: Iterator[SimpleNamespace], seconds: float, most: int) -> tuple[float, int]:
    """Return processor seconds an image, and how many images there was time for."""
    start, clock, number = time.process_time(), time.monotonic(), 0
    for case in cases:
        function(case)
        number += 1
        if number == most or time.monotonic() - clock > seconds:
            break
    return (time.process_time() - start) / number, number


def main() -> None:
    """Print a row for each way of counting, then the result as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks panoptic_quality")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--segments", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0, help="at most, for each way of counting")
    options = parser.parse_args(sys.argv[2:])
    torch.set_num_threads(1)
    cases = [random_case(options.segments, seed) for seed in range(min(DISTINCT, options.images))]
    for case in cases:
        case.truth, case.pictures = true_segments(case.label_map, case.segments), pictures(case)
        tally, expected = ours(case), by_pairs(case)
        for index in range(NUM_CLASSES):
            assert abs(tally.iou_sum[index] - expected[index].iou) < 1e-12
            assert tally.false_positives[index] == expected[index].fp
            assert tally.false_negatives[index] == expected[index].fn

    def again() -> Iterator[SimpleNamespace]:
        while True:
            yield from cases

    ways: dict[str, Callable] = {
        "ours, from the cache's bytes": ours,
        "ours, from memory": ours_in_memory,
        "panopticapi's way": by_pairs,
    }
    if (peer := torchmetrics_counter()) is not None:
        ways["torchmetrics"] = peer
    timed(ours, again(), 1.0, 100)
    before = peak_mb()
    found = {}
    print(f"{WIDTH} x {HEIGHT}, {options.segments} segments painted, one core (processor time)")
    for name, function in ways.items():
        found[name], number = timed(function, again(), options.seconds, options.images)
        if function is ours:
            grown = peak_mb() - before
        print(f"  {name:30} {1000 * found[name]:9.3f} ms an image ({number} images)")
    unpacked, own, *peers = found.values()
    print(f"  peak memory after the first 100 images and after all: {before:.0f} MB, {before + grown:.0f} MB")
    for name, seconds in list(found.items())[2:]:
        print(f"  {name}: {seconds / own:.1f} times ours from memory, {seconds / unpacked:.1f} times ours from bytes")
    print(
        json.dumps(
            {
                "benchmark": "panoptic_quality",
                "unit": "processor seconds an image, from memory; peer: torchmetrics, or without it panopticapi's way",
                "ours": own,
                "peer": peers[-1],
                "ratio": peers[-1] / own,
                "panopticapi_ratio": peers[0] / own,
                "from_bytes": unpacked,
                "grown_mb": grown,
            }
        )
    )


def peak_mb() -> float:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
