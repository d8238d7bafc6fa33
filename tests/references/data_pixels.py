"""Literal, slow versions of what the data core does to pixels: one pixel at a time, as the format is defined."""

import numpy as np


def panoptic_label_map(colours, segment_ids):
    """COCO panoptic: id = R + 256 G + 65536 B; 0 = void; label i + 1 = segment_ids[i]."""
    height, width, _ = colours.shape
    labels = np.zeros((height, width), dtype=np.uint16)
    for y in range(height):
        for x in range(width):
            red, green, blue = (int(value) for value in colours[y, x])
            segment_id = red + 256 * green + 65536 * blue
            labels[y, x] = 0 if segment_id == 0 else segment_ids.index(segment_id) + 1
    return labels


def nearest(labels, height, width):
    """The label under the centre of each target pixel."""
    source_height, source_width = labels.shape
    resized = np.zeros((height, width), dtype=labels.dtype)
    for y in range(height):
        for x in range(width):
            resized[y, x] = labels[int((y + 0.5) * source_height / height), int((x + 0.5) * source_width / width)]
    return resized


def count_unseen(label_map, class_of_segment, is_seen):
    """How many pixels belong to a segment of an unseen class."""
    return sum(1 for label in label_map.ravel() if label and not is_seen[class_of_segment[label - 1]])
