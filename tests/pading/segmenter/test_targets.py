import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.segmenter.targets import targets_from_batch
from tests.references.segmenter_loops import cells

IGNORED = 255


def labels(*layers):
    return torch.tensor(layers, dtype=torch.uint8)[None]


def test_a_cell_holds_the_fraction_of_its_pixels_that_a_segment_owns():
    label_map = torch.full((1, 1, 4, 8), IGNORED, dtype=torch.uint8)
    label_map[0, 0, :2, :4] = 1  # 8 of 16 pixels of the left cell
    label_map[0, 0, 2:, :2] = 2  # 4 of 16; the other 4 are void
    label_map[0, 0, :, 4:] = 2
    targets = targets_from_batch(label_map, torch.tensor([[7, 9, -1]]))
    assert targets.masks.tolist() == [[[[0.5, 0.0]], [[0.25, 1.0]], [[0.0, 0.0]]]]
    assert targets.valid.tolist() == [[[0.75, 1.0]]]
    assert targets.classes.tolist() == [[7, 9, -1]]
    assert int(targets.num_masks) == 2


def test_background_is_compared_and_in_no_mask():
    targets = targets_from_batch(labels([[0, 0, 0, 1]] * 4), torch.tensor([[7]]))
    assert targets.masks.tolist() == [[[[0.25]]]]
    assert targets.valid.tolist() == [[[1.0]]]


def test_segments_of_different_layers_own_the_same_pixels():
    targets = targets_from_batch(labels([[1, 1, 1, 0]] * 4, [[0, 2, 2, 2]] * 4), torch.tensor([[7, 8]]))
    assert targets.masks.tolist() == [[[[0.75]], [[0.75]]]]
    assert targets.valid.tolist() == [[[1.0]]]


def test_targets_equal_the_loop_over_pixels(label_maps, targets):
    for image in range(4):
        masks, valid = cells(label_maps[image].tolist(), 4)
        assert targets.masks[image].tolist() == masks.tolist()  # sixteenths are exact
        assert targets.valid[image].tolist() == valid.tolist()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), layers=st.integers(1, 4), room=st.integers(1, 254))
def test_targets_of_any_labels_equal_the_loop(seed, layers, room):
    """Segments lie in one layer each, up to the largest label that 8 bits leave beside background and ignored."""
    random = np.random.default_rng(seed)
    used = random.choice(room, min(room, 5), replace=False) + 1
    maps = np.zeros((layers, 8, 4), dtype=np.uint8)
    for layer in range(layers):
        maps[layer] = random.choice(np.append(used[layer::layers], 0), (8, 4))
    is_ignored = random.random((8, 4)) < 0.3
    maps[:, is_ignored] = 0
    maps[0, is_ignored] = IGNORED
    targets = targets_from_batch(torch.from_numpy(maps)[None], torch.arange(room)[None])
    masks, valid = cells(maps.tolist(), room)
    assert targets.masks[0].tolist() == masks.tolist()
    assert targets.valid[0].tolist() == valid.tolist()
    assert targets.is_segment[0].tolist() == masks.any(axis=(1, 2)).tolist()


def test_a_segment_without_pixels_becomes_padding(targets):
    assert targets.classes[3].tolist() == [4, -1, 0, -1]


def test_a_label_without_a_class_makes_no_mask():
    targets = targets_from_batch(torch.full((1, 1, 4, 4), 2, dtype=torch.uint8), torch.tensor([[3, -1]]))
    assert targets.masks.sum() == 0
    assert int(targets.num_masks) == 0


def test_image_ids_default_to_positions(label_maps, classes, targets):
    assert targets_from_batch(label_maps, classes).image_ids.tolist() == [0, 1, 2, 3]
    assert targets.image_ids.tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ((2, 1, 8, 8), (1, 3), "2 label maps but classes of 1"),
        ((1, 1, 8, 6), (1, 3), "multiples of 4"),
        ((1, 1, 8, 8), (1, 2), "label 3 .* room for 2"),
        ((1, 2, 8, 8), (1, 2), "label 3 .* room for 2"),
    ],
)
def test_what_does_not_fit_is_rejected(shape, classes, message):
    with pytest.raises(ValueError, match=message):
        targets_from_batch(torch.full(shape, 3, dtype=torch.uint8), torch.zeros(classes, dtype=torch.int64))


@pytest.mark.parametrize(("first", "second"), [(0, IGNORED), (IGNORED, IGNORED), (IGNORED, 1)])
def test_layers_that_contradict_each_other_are_rejected(first, second):
    label_maps = torch.zeros(1, 2, 4, 4, dtype=torch.uint8)
    label_maps[0, :, 1, 2] = torch.tensor([first, second])
    with pytest.raises(ValueError, match="ignore a pixel in the first layer alone"):
        targets_from_batch(label_maps, torch.tensor([[0]]))
