"""COCO's panoptic counting, read literally from panopticapi's rules: dictionaries, one pair of segments at a time.

Oracle for pading.evaluate.panoptic (pairs counted pixel by pixel) and peer of its benchmark (pairs counted by
np.unique). Segment ids are label values; a segment is a dict with category_id, area and, in the truth, iscrowd.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

VOID = 0
OFFSET = 256**3


@dataclass
class CategoryStatistics:
    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0


def pairs_by_pixel(true_map: np.ndarray, predicted_map: np.ndarray) -> dict[tuple[int, int], int]:
    pairs: Counter[tuple[int, int]] = Counter()
    for row in range(true_map.shape[0]):
        for column in range(true_map.shape[1]):
            pairs[int(true_map[row, column]), int(predicted_map[row, column])] += 1
    return pairs


def pairs_by_unique(true_map: np.ndarray, predicted_map: np.ndarray) -> dict[tuple[int, int], int]:
    combined = true_map.astype(np.uint64) * OFFSET + predicted_map.astype(np.uint64)
    labels, counts = np.unique(combined, return_counts=True)
    return {
        (int(label) // OFFSET, int(label) % OFFSET): int(count) for label, count in zip(labels, counts, strict=True)
    }


def true_segments(true_map, segments) -> dict[int, dict]:
    return {
        label: {
            "category_id": segment.class_index,
            "iscrowd": int(segment.is_crowd),
            "area": int((true_map == label).sum()),
        }
        for label, segment in enumerate(segments, start=1)
    }


def predicted_segments(predicted_map, classes) -> dict[int, dict]:
    labels, areas = np.unique(predicted_map, return_counts=True)
    area_of = dict(zip(labels.tolist(), areas.tolist(), strict=True))
    return {
        label: {"category_id": int(category), "area": area_of[label]} for label, category in enumerate(classes, start=1)
    }


def count_pairs(pairs, true_by_label, predicted_by_label) -> dict[int, CategoryStatistics]:
    statistics: dict[int, CategoryStatistics] = defaultdict(CategoryStatistics)
    true_matched, predicted_matched = set(), set()
    for (true_label, predicted_label), intersection in pairs.items():
        if true_label not in true_by_label or predicted_label not in predicted_by_label:
            continue
        truth, prediction = true_by_label[true_label], predicted_by_label[predicted_label]
        if truth["iscrowd"] == 1 or truth["category_id"] != prediction["category_id"]:
            continue
        union = prediction["area"] + truth["area"] - intersection - pairs.get((VOID, predicted_label), 0)
        iou = intersection / union
        if iou > 0.5:
            statistics[truth["category_id"]].tp += 1
            statistics[truth["category_id"]].iou += iou
            true_matched.add(true_label)
            predicted_matched.add(predicted_label)

    crowd_label_of_category = {}
    for true_label, truth in true_by_label.items():
        if true_label in true_matched:
            continue
        if truth["iscrowd"] == 1:
            crowd_label_of_category[truth["category_id"]] = true_label
            continue
        statistics[truth["category_id"]].fn += 1

    for predicted_label, prediction in predicted_by_label.items():
        if predicted_label in predicted_matched:
            continue
        excused = pairs.get((VOID, predicted_label), 0)
        if prediction["category_id"] in crowd_label_of_category:
            excused += pairs.get((crowd_label_of_category[prediction["category_id"]], predicted_label), 0)
        if excused / prediction["area"] > 0.5:
            continue
        statistics[prediction["category_id"]].fp += 1
    return statistics
