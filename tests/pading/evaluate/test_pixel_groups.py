import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.evaluate.inference import upsampled_masks
from pading.evaluate.pixel_groups import SMALLEST_GROUP, group_pixels, grouped_truth, items


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), num_queries=st.integers(1, 5), smooth=st.booleans())
def test_bounds_hold_for_every_pixel_of_a_group_and_are_reached(seed, num_queries, smooth):
    rng = np.random.default_rng(seed)
    shape = (num_queries, 3, 4)
    values = rng.choice([0.01, 0.6, 0.99], shape) if smooth else rng.random(shape)
    masks = torch.from_numpy(np.kron(values, np.ones((2, 3)))).float()
    groups = group_pixels(masks)
    flat = masks.flatten(1)[:, torch.from_numpy(groups.order)]
    assert torch.equal(groups.masks, flat)
    assert sorted(groups.order.tolist()) == list(range(72))
    for group in range(groups.low.shape[1]):
        members = flat[:, torch.from_numpy(groups.group == group)]
        assert members.shape[1] >= SMALLEST_GROUP
        assert torch.equal(members.amin(dim=1), groups.low[:, group])
        assert torch.equal(members.amax(dim=1), groups.high[:, group])


def test_most_of_a_smooth_image_is_in_few_groups(random_world):
    for image in random_world.smooth_images:
        groups = upsampled_masks(image).groups
        assert (groups.group >= 0).mean() > 0.7
        assert groups.low.shape[1] < len(groups.order) / 10


def test_items_count_every_pixel_once_whatever_is_open(random_world):
    image = random_world.smooth_images[0]
    groups = upsampled_masks(image).groups
    classes = [segment.class_index for segment in image.segments]
    truth = grouped_truth(groups, image.label_map, classes)
    area = np.bincount(image.label_map.ravel())
    assert truth.classes.tolist() == [-1, *classes]
    for share in (0.0, 0.5, 1.0):
        is_open = np.random.default_rng(0).random(groups.low.shape[1]) < share
        loose = groups.loose(is_open)
        counted = items(truth, is_open, loose)
        assert np.bincount(counted.label, weights=counted.size).tolist() == area.tolist() == truth.area.tolist()
        assert len(counted.label) == len(counted.groups) + len(loose)
        assert not is_open[counted.groups].any()


def test_a_photo_without_queries_is_one_group():
    groups = group_pixels(torch.empty(0, 3, 4))
    assert groups.low.shape == (0, 1)
    assert (groups.group == 0).all()
