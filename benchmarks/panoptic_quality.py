"""Panoptic counting, ours against panopticapi's way (a Python step for each pair of segments), memory to memory."""

import json
import statistics
import time

import numpy as np

from pading.data.sample import Segment
from pading.evaluate.panoptic import count_image
from tests.references.evaluate_panoptic import count_pairs, pairs_by_unique, predicted_segments, true_segments

SIZES = ((96, 96, 8), (480, 640, 20), (480, 640, 60))  # height, width, segments
NUM_CLASSES = 133
REPEATS = 15


def random_case(height: int, width: int, num_segments: int, seed: int):
    """Return maps of rectangles painted over each other; the prediction is the truth moved by a few pixels."""
    rng = np.random.default_rng(seed)
    label_map = np.zeros((height, width), dtype=np.uint16)
    for label in range(1, num_segments + 1):
        top, left = rng.integers(0, height * 3 // 4), rng.integers(0, width * 3 // 4)
        label_map[top : top + height // 3, left : left + width // 3] = label
    segments = [
        Segment(segment_id=label, class_index=int(rng.integers(NUM_CLASSES)), is_crowd=label == 1, area_px=0)
        for label in range(1, num_segments + 1)
    ]
    moved = np.roll(label_map, (3, 5), (0, 1))
    present = np.unique(moved[moved > 0])
    predicted = np.where(moved > 0, np.searchsorted(present, moved) + 1, 0).astype(np.int32)
    classes = np.array([segments[label - 1].class_index for label in present], dtype=np.int64)
    return predicted, classes, label_map, segments


def main() -> None:
    """Print one row per size, then the result for 640 x 480 with 20 segments as JSON."""
    print(f"{'image':>10} {'segments':>9} {'ours ms':>9} {'panopticapi ms':>15} {'ratio':>6}   (medians of {REPEATS})")
    rows = {}
    for height, width, num_segments in SIZES:
        predicted, classes, label_map, segments = random_case(height, width, num_segments, seed=0)
        # panopticapi gets the truth's areas from its JSON file, so they are not timed.
        truth = true_segments(label_map, segments)

        def ours(predicted=predicted, classes=classes, label_map=label_map, segments=segments):
            return count_image(predicted, classes, label_map, segments, NUM_CLASSES)

        def peer(predicted=predicted, classes=classes, label_map=label_map, truth=truth):
            prediction = predicted_segments(predicted, classes)
            return count_pairs(pairs_by_unique(label_map, predicted), truth, prediction)

        tally, expected = ours(), peer()
        for index in range(NUM_CLASSES):
            assert abs(tally.iou_sum[index] - expected[index].iou) < 1e-12
            assert tally.false_positives[index] == expected[index].fp
        ours_ms, peer_ms = _interleaved_medians_ms(ours, peer)
        rows[height, width, num_segments] = ours_ms, peer_ms
        size = f"{width}x{height}"
        print(f"{size:>10} {num_segments:>9} {ours_ms:>9.2f} {peer_ms:>15.2f} {peer_ms / ours_ms:>6.1f}")
    ours_ms, peer_ms = rows[480, 640, 20]
    result = {
        "benchmark": "panoptic_quality",
        "ours": ours_ms / 1000,
        "peer": peer_ms / 1000,
        "unit": "seconds per image of 640x480 with 20 segments",
        "ratio": peer_ms / ours_ms,
    }
    print(json.dumps(result))


def _interleaved_medians_ms(*functions) -> list[float]:
    """Time the functions in turn, so that a busy machine slows all of them alike."""
    seconds = [[] for _ in functions]
    for _ in range(REPEATS):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [1000 * statistics.median(taken) for taken in seconds]


if __name__ == "__main__":
    main()
