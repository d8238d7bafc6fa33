"""The segmenter's targets, matching cost and loss, one pixel, query, image and layer at a time; slow on purpose.

An image's truth is a list of label maps, one a layer of overlapping segments: 0 = background, m + 1 = segment m,
255 in the first = ignored.
"""

import math

import numpy as np
from scipy.optimize import linear_sum_assignment

MASK2FORMER, MASKFORMER = (2.0, 5.0, 5.0, 0.0), (1.0, 0.0, 1.0, 20.0)  # class, cross-entropy, dice, focal


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(logits):
    shifted = [math.exp(x - max(logits)) for x in logits]
    return [x / sum(shifted) for x in shifted]


def pixels_of(layers):
    """Yield row, column and the labels of every pixel that is not ignored."""
    for row, line in enumerate(layers[0]):
        for column, found in enumerate(line):
            if found != 255:
                yield row, column, {layer[row][column] for layer in layers}


def cells(layers, num_segments):
    """Return the share of each 4 x 4 cell that each segment owns, and the share that is not ignored."""
    height, width = len(layers[0]) // 4, len(layers[0][0]) // 4
    masks, valid = np.zeros((num_segments, height, width)), np.zeros((height, width))
    for row, column, labels in pixels_of(layers):
        valid[row // 4, column // 4] += 1 / 16
        for label in labels - {0}:
            masks[label - 1, row // 4, column // 4] += 1 / 16
    return masks, valid


def pixel_cross_entropy(logit, is_inside):
    chance = sigmoid(logit)
    return -math.log(chance) if is_inside else -math.log(1 - chance)


def pixel_focal(logit, is_inside):
    """-a_t (1 - p_t)^2 log p_t, where p_t is the chance of what is true, and a_t is 1/4 inside and 3/4 outside."""
    chance = sigmoid(logit) if is_inside else 1 - sigmoid(logit)
    return -(0.25 if is_inside else 0.75) * (1 - chance) ** 2 * math.log(chance)


def mask_mean(pixel_loss, logits, layers, label):
    """Mean over pixels; a pixel reads the logit of its 4 x 4 cell."""
    terms = [pixel_loss(logits[row // 4][column // 4], label in labels) for row, column, labels in pixels_of(layers)]
    return sum(terms) / max(len(terms), 16)  # never over less than one cell of pixels


def dice(logits, layers, label):
    """Areas in units of one cell (16 pixels); ignored pixels do not exist."""
    overlap = size = 0.0
    for row, column, labels in pixels_of(layers):
        chance, is_inside = sigmoid(logits[row // 4][column // 4]) / 16, label in labels
        overlap += chance * is_inside
        size += chance + is_inside / 16
    return 1 - (2 * overlap + 1) / (size + 1)


def cost_matrix(class_logits, mask_logits, layers, classes, weights=MASK2FORMER):
    """Cost of every (query, segment) of one image and layer; the segments are those with a class."""
    labels = [m + 1 for m, class_index in enumerate(classes) if class_index >= 0]
    cost = np.zeros((len(class_logits), len(labels)))
    for q, logits in enumerate(class_logits):
        for column, label in enumerate(labels):
            cost[q, column] = (
                -weights[0] * softmax(logits)[classes[label - 1]]
                + weights[1] * mask_mean(pixel_cross_entropy, mask_logits[q], layers, label)
                + weights[2] * dice(mask_logits[q], layers, label)
                + weights[3] * mask_mean(pixel_focal, mask_logits[q], layers, label)
            )
    return cost, labels


def loss(layers, label_maps, classes, num_masks, no_object=0.1, weights=MASK2FORMER):
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
                    total["mask"] += weights[1] * mask_mean(pixel_cross_entropy, *arguments) / num_masks
                    total["mask"] += weights[3] * mask_mean(pixel_focal, *arguments) / num_masks
                    total["dice"] += weights[2] * dice(*arguments) / num_masks
    return total


def cell_loss(cell_logits, label_maps, classes):
    """Sum over segments of the cross-entropy of the mean logits; a pixel reads the logits of its 8 x 8 cell."""
    total = 0.0
    for image, layers in enumerate(label_maps):
        for m, class_index in enumerate(classes[image]):
            places = [(row, column) for row, column, labels in pixels_of(layers) if m + 1 in labels]
            if class_index >= 0:
                logits = [sum(k[r // 8][c // 8] for r, c in places) / len(places) for k in cell_logits[image]]
                total -= math.log(softmax(logits)[class_index])
    return total
