"""The segmenter's matching cost and loss, one pixel, query, image and layer at a time, in float64; slow on purpose."""

import math

import numpy as np
from scipy.optimize import linear_sum_assignment


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(logits):
    shifted = [math.exp(x - max(logits)) for x in logits]
    return [x / sum(shifted) for x in shifted]


def pixel_cross_entropy(logit, is_inside):
    chance = sigmoid(logit)
    return -math.log(chance) if is_inside else -math.log(1 - chance)


def mask_cross_entropy(logits, label_map, label):
    """Mean over labelled pixels; a pixel reads the logit of its 4 x 4 cell."""
    terms = [
        pixel_cross_entropy(logits[row // 4][column // 4], found == label)
        for row, line in enumerate(label_map)
        for column, found in enumerate(line)
        if found != 0
    ]
    return sum(terms) / max(len(terms), 16)  # never over less than one cell of pixels


def dice(logits, label_map, label):
    """Areas in units of one cell (16 pixels); unlabelled pixels do not exist."""
    overlap = size = 0.0
    for row, line in enumerate(label_map):
        for column, found in enumerate(line):
            if found == 0:
                continue
            chance, inside = sigmoid(logits[row // 4][column // 4]) / 16, (found == label) / 16
            overlap += chance * (found == label)
            size += chance + inside
    return 1 - (2 * overlap + 1) / (size + 1)


def cost_matrix(class_logits, mask_logits, label_map, classes, weights=(2.0, 5.0, 5.0)):
    """Cost of every (query, segment) of one image and layer; the segments are those with a class."""
    labels = [m + 1 for m, class_index in enumerate(classes) if class_index >= 0]
    cost = np.zeros((len(class_logits), len(labels)))
    for q, logits in enumerate(class_logits):
        for column, label in enumerate(labels):
            cost[q, column] = (
                -weights[0] * softmax(logits)[classes[label - 1]]
                + weights[1] * mask_cross_entropy(mask_logits[q], label_map, label)
                + weights[2] * dice(mask_logits[q], label_map, label)
            )
    return cost, labels


def loss(layers, label_maps, classes, num_masks, no_object=0.1, weights=(2.0, 5.0, 5.0)):
    """Weighted class, mask and dice losses summed over layers; `layers` is a list of (class logits, mask logits)."""
    total = {"class": 0.0, "mask": 0.0, "dice": 0.0}
    num_masks = max(num_masks, 1)
    for class_logits, mask_logits in layers:
        num_rows = sum(len(image) for image in class_logits)
        normaliser = num_masks + no_object * max(num_rows - num_masks, 0)
        for image in range(len(label_maps)):
            cost, labels = cost_matrix(
                class_logits[image], mask_logits[image], label_maps[image], classes[image], weights
            )
            rows, columns = linear_sum_assignment(cost)
            label_of = {int(row): labels[column] for row, column in zip(rows, columns, strict=True)}
            for q, logits in enumerate(class_logits[image]):
                label = label_of.get(q)
                target = len(logits) - 1 if label is None else classes[image][label - 1]
                weight = no_object if label is None else 1.0
                total["class"] += weights[0] * weight * -math.log(softmax(logits)[target]) / normaliser
                if label is not None:
                    arguments = mask_logits[image][q], label_maps[image], label
                    total["mask"] += weights[1] * mask_cross_entropy(*arguments) / num_masks
                    total["dice"] += weights[2] * dice(*arguments) / num_masks
    return total


def cell_loss(cell_logits, label_maps, classes):
    """Sum over segments of the cross-entropy of the mean logits; a pixel reads the logits of its 8 x 8 cell."""
    total = 0.0
    for image, label_map in enumerate(label_maps):
        for m, class_index in enumerate(classes[image]):
            places = [(r, c) for r, line in enumerate(label_map) for c, found in enumerate(line) if found == m + 1]
            if class_index >= 0:
                logits = [sum(k[r // 8][c // 8] for r, c in places) / len(places) for k in cell_logits[image]]
                total -= math.log(softmax(logits)[class_index])
    return total
