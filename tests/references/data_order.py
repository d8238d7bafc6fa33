"""The order of training images, said literally: lists, one image at a time."""

import numpy as np

from pading.randomness import derive_seed


def images_of_epoch(rows_per_group, seed, batch_size, window, epoch):
    """Return the image at each position of an epoch."""
    groups, start = [], 0
    for rows in (rows for file in rows_per_group for rows in file):
        groups.append(list(range(start, start + rows)))
        start += rows
    generator = np.random.default_rng(derive_seed(seed, "order", epoch))
    row_of_images = [image for group in generator.permutation(len(groups)) for image in groups[group]]
    keys = dict(enumerate(generator.random(start)))
    lanes, taken = [], 0
    for lane in range(batch_size):
        length = start // batch_size + (lane < start % batch_size)
        places = range(taken, taken + length)
        taken += length
        windows = [places[first : first + window] for first in range(0, length, window)]
        lanes.append([row_of_images[place] for part in windows for place in sorted(part, key=keys.get)])
    return [lanes[position % batch_size][position // batch_size] for position in range(start)]
