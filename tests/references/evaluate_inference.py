"""Mask2Former's three outputs, one query, class and pixel at a time; oracle for pading.evaluate.inference."""

import math

import numpy as np


def bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (h, w) in float64 with half-pixel centres and clamped borders."""
    rows, columns = image.shape
    result = np.zeros((height, width))
    for y in range(height):
        source_y = max((y + 0.5) * rows / height - 0.5, 0.0)
        top = min(math.floor(source_y), rows - 1)
        bottom, down = min(top + 1, rows - 1), source_y - top
        for x in range(width):
            source_x = max((x + 0.5) * columns / width - 0.5, 0.0)
            left = min(math.floor(source_x), columns - 1)
            right, along = min(left + 1, columns - 1), source_x - left
            upper = image[top, left] * (1 - along) + image[top, right] * along
            lower = image[bottom, left] * (1 - along) + image[bottom, right] * along
            result[y, x] = upper * (1 - down) + lower * down
    return result


def panoptic(class_probabilities, mask_probabilities, is_thing, score_threshold=0.8, overlap_threshold=0.8):
    """Return (label map, class of each segment) in the order in which queries found their segment."""
    num_classes = len(is_thing)
    kept = []
    for query, row in enumerate(class_probabilities):
        label = int(np.argmax(row))
        if label != num_classes and row[label] > score_threshold:
            kept.append((query, label, row[label]))
    _, height, width = mask_probabilities.shape
    label_map = np.zeros((height, width), dtype=np.int64)
    classes: list[int] = []
    if not kept:
        return label_map, classes
    weighted = np.stack([score * mask_probabilities[query] for query, _, score in kept])
    winner = weighted.argmax(axis=0)
    stuff_segment = {}
    for position, (query, label, _) in enumerate(kept):
        inside = mask_probabilities[query] >= 0.5
        won = winner == position
        final = won & inside
        if won.sum() == 0 or inside.sum() == 0 or final.sum() == 0:
            continue
        if won.sum() / inside.sum() < overlap_threshold:
            continue
        if not is_thing[label] and label in stuff_segment:
            label_map[final] = stuff_segment[label]
            continue
        classes.append(label)
        label_map[final] = len(classes)
        if not is_thing[label]:
            stuff_segment[label] = len(classes)
    return label_map, classes


def semantic(class_probabilities, mask_probabilities):
    num_queries, height, width = mask_probabilities.shape
    num_classes = class_probabilities.shape[1] - 1
    scores = np.zeros((num_classes, height, width))
    for query in range(num_queries):
        for label in range(num_classes):
            scores[label] += float(class_probabilities[query, label]) * mask_probabilities[query].astype(np.float64)
    return scores.argmax(axis=0)


def instances(class_probabilities, mask_logits, is_thing, limit=100):
    """Return [(query, class, score)] of the most probable pairs, best class probability first."""
    pairs = []
    for query, row in enumerate(class_probabilities):
        for label, thing in enumerate(is_thing):
            if thing:
                pairs.append((float(row[label]), query, label))
    pairs.sort(key=lambda pair: -pair[0])
    found = []
    for probability, query, label in pairs[:limit]:
        inside = mask_logits[query] > 0
        logits = mask_logits[query][inside].astype(np.float64)
        mean = float((1 / (1 + np.exp(-logits))).mean()) if inside.any() else 0.0
        found.append((query, label, probability * mean))
    return found
