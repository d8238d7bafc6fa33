import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.regions.subimages import SUB_IMAGES, mask_boxes, roi_align, sub_images
from tests.references.regions_roi_align import roi_align_loops


@given(st.integers(0, 10_000), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_boxes_are_resampled_as_roi_align_does(seed: int, side_px: int) -> None:
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 24, 2)
    image = random.normal(size=(3, height, width))
    boxes = []
    for _ in range(4):
        top, bottom = sorted(random.choice(height + 1, 2, replace=False))
        left, right = sorted(random.choice(width + 1, 2, replace=False))
        boxes.append((top, left, bottom, right))
    found = roi_align(torch.from_numpy(image), torch.tensor(np.array(boxes)), side_px)
    expected = np.stack([roi_align_loops(image, box, side_px) for box in boxes])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_the_same_box_at_its_own_size_is_the_box() -> None:
    image = torch.rand(3, 9, 12)
    found = roi_align(image, torch.tensor([[2, 3, 7, 8]]), 5)
    torch.testing.assert_close(found[0], image[:, 2:7, 3:8])


def test_half_the_size_is_the_mean_of_four_by_hand() -> None:
    image = torch.arange(16.0).reshape(1, 4, 4)
    found = roi_align(image, torch.tensor([[0, 0, 4, 4]]), 2)
    assert found.tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]


def test_boxes_are_tight_and_half_open_and_an_empty_mask_has_all() -> None:
    is_inside = torch.zeros(4, 6, 8, dtype=torch.bool)
    is_inside[0, 2, 3] = True
    is_inside[1, 0, 7] = is_inside[1, 5, 1] = True
    is_inside[2] = True
    assert mask_boxes(is_inside).tolist() == [[2, 3, 3, 4], [0, 1, 6, 8], [0, 0, 6, 8], [0, 0, 6, 8]]


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_boxes_equal_those_of_a_search(seed: int) -> None:
    random = np.random.default_rng(seed)
    is_inside = random.random((5, *random.integers(1, 12, 2))) < 0.1
    expected = []
    for mask in is_inside:
        rows, columns = np.nonzero(mask)
        tight = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) if len(rows) else (0, 0, *mask.shape)
        expected.append(tight)
    assert mask_boxes(torch.from_numpy(is_inside)).tolist() == [[int(edge) for edge in box] for box in expected]


def test_the_styles_differ_in_box_and_in_what_lies_outside_the_mask() -> None:
    pixels = torch.rand(3, 20, 30, dtype=torch.float64) + 1
    is_inside = torch.zeros(2, 20, 30, dtype=torch.bool)
    is_inside[0, 4:14, 6:26] = torch.rand(10, 20) < 0.7
    is_inside[0, 4, 6:26] = is_inside[0, 4:14, 6] = is_inside[0, 13, 25] = True
    is_inside[1, 3:5, 7:9] = True
    masked = pixels * is_inside[:, None]
    whole = (0, 0, 20, 30)
    boxes = [(4, 6, 14, 26), (3, 7, 5, 9)]
    expected = {
        "crop": [(pixels, box) for box in boxes],
        "mask": [(image, whole) for image in masked],
        "crop+mask": list(zip(masked, boxes, strict=True)),
    }
    assert set(expected) == set(SUB_IMAGES)
    for style, pairs in expected.items():
        reference = np.stack([roi_align_loops(image.numpy(), box, 7) for image, box in pairs])
        np.testing.assert_allclose(sub_images(pixels, is_inside, style, 7).numpy(), reference, atol=1e-12)


def test_an_empty_mask_shows_the_whole_photo_in_the_mean_colour_or_as_it_is() -> None:
    pixels, empty = torch.rand(3, 12, 9), torch.zeros(1, 12, 9, dtype=torch.bool)
    assert not sub_images(pixels, empty, "crop+mask", 4).any()
    whole = roi_align(pixels, torch.tensor([[0, 0, 12, 9]]), 4)
    torch.testing.assert_close(sub_images(pixels, empty, "crop", 4), whole)


@pytest.mark.parametrize("style", SUB_IMAGES)
def test_how_many_are_cut_together_changes_nothing(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, is_inside = torch.rand(3, 15, 11), torch.rand(7, 15, 11) < 0.2
    together = sub_images(pixels, is_inside, style, 6)
    monkeypatch.setattr("pading.regions.subimages.VALUES_TOGETHER", 2 * pixels.numel() // 3)
    torch.testing.assert_close(sub_images(pixels, is_inside, style, 6), together)
