import pytest
import torch

from pading.segmenter.targets import targets_from_batch


def test_a_cell_holds_the_fraction_of_its_pixels_that_a_segment_owns():
    label_map = torch.zeros(1, 4, 8, dtype=torch.uint8)
    label_map[0, :2, :4] = 1  # 8 of 16 pixels of the left cell
    label_map[0, 2:, :2] = 2  # 4 of 16; the other 4 are void
    label_map[0, :, 4:] = 2
    targets = targets_from_batch(label_map, torch.tensor([[7, 9, -1]]))
    assert targets.masks.tolist() == [[[[0.5, 0.0]], [[0.25, 1.0]], [[0.0, 0.0]]]]
    assert targets.valid.tolist() == [[[0.75, 1.0]]]
    assert targets.classes.tolist() == [[7, 9, -1]]
    assert int(targets.num_masks) == 2


def test_masks_agree_with_average_pooling_of_one_hot_label_maps(label_maps, classes, targets):
    one_hot = torch.nn.functional.one_hot(label_maps.long(), 5)[..., 1:].permute(0, 3, 1, 2).double()
    pooled = torch.nn.functional.avg_pool2d(one_hot, 4) * (classes >= 0)[:, :, None, None]
    torch.testing.assert_close(targets.masks.double(), pooled, rtol=0, atol=0)
    torch.testing.assert_close(targets.valid.double(), pooled.sum(dim=1), rtol=0, atol=0)


def test_a_segment_without_pixels_becomes_padding(targets):
    assert targets.classes[3].tolist() == [4, -1, 0, -1]


def test_pixels_of_a_label_without_a_class_are_unlabelled():
    targets = targets_from_batch(torch.full((1, 4, 4), 2, dtype=torch.uint8), torch.tensor([[3, -1]]))
    assert targets.valid.item() == 0
    assert int(targets.num_masks) == 0


def test_image_ids_default_to_positions(label_maps, classes, targets):
    assert targets_from_batch(label_maps, classes).image_ids.tolist() == [0, 1, 2, 3]
    assert targets.image_ids.tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ((2, 8, 8), (1, 3), "2 label maps but classes of 1"),
        ((1, 8, 6), (1, 3), "multiples of 4"),
        ((1, 8, 8), (1, 2), "label 3 .* room for 2"),
    ],
)
def test_what_does_not_fit_is_rejected(shape, classes, message):
    with pytest.raises(ValueError, match=message):
        targets_from_batch(torch.full(shape, 3, dtype=torch.uint8), torch.zeros(classes, dtype=torch.int64))
