import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pading.coco_classes import coco_panoptic_119_14
from pading.data.batch import Batch, augment, batch_arrays, letterbox_image, letterbox_size
from pading.data.coco import load_sample, read_panoptic
from pading.data.shards import encode_row
from pading.randomness import generator_for
from tests.references.data_pixels import nearest


@pytest.fixture
def columns(jpeg_of):
    def encode(*samples):
        rows = [encode_row(jpeg_of(sample.image), sample) for sample in samples]
        return {name: [row[name] for row in rows] for name in rows[0]}

    return encode


@pytest.mark.parametrize(
    ("height", "width", "size_px", "expected"),
    [
        (480, 640, 64, (48, 64)),
        (640, 480, 64, (64, 48)),
        (333, 500, 64, (43, 64)),  # 42.62
        (5, 8, 4, (3, 4)),  # 2.5 rounds up
        (1, 1000, 64, (1, 64)),  # 0.064, but never nothing
        (10, 10, 64, (64, 64)),
    ],
)
def test_letterbox_sizes_by_hand(height, width, size_px, expected):
    assert letterbox_size(height, width, size_px) == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 1024))
def test_the_letterbox_is_filled_along_the_longest_side(height, width, size_px):
    content = letterbox_size(height, width, size_px)
    assert max(content) == size_px
    assert min(content) >= 1
    assert content[::-1] == letterbox_size(width, height, size_px)


def test_an_image_of_the_target_size_is_unchanged_and_padded_with_zeros(columns, make_sample):
    sample = make_sample([[1, 1, 0, 2], [1, 0, 2, 2]], [(7, False), (3, False)], image_id=5)
    arrays = batch_arrays(columns(sample), 4, 3)
    assert arrays["label_maps"][0].tolist() == [[1, 1, 0, 2], [1, 0, 2, 2], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert arrays["classes"].tolist() == [[7, 3, -1]]
    assert arrays["image_ids"].tolist() == [5]
    assert not arrays["images"][0, :, 2:].any()
    assert np.abs(arrays["images"][0, :, :2].transpose(1, 2, 0).astype(int) - sample.image).max() <= 3


def test_shapes_and_types_do_not_depend_on_the_photos(columns, make_sample):
    samples = (
        make_sample(np.ones((9, 5)), [(0, False)]),
        make_sample(np.zeros((2, 31)), [], image_id=2),
    )
    arrays = batch_arrays(columns(*samples), 8, 6)
    shapes = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    assert shapes == {
        "images": ((2, 3, 8, 8), "uint8"),
        "label_maps": ((2, 8, 8), "uint8"),
        "classes": ((2, 6), "int64"),
        "image_ids": ((2,), "int64"),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 40), width=st.integers(1, 40), size_px=st.integers(1, 24), seed=st.integers(0, 99))
def test_labels_are_those_under_the_pixel_centres(columns, make_sample, height, width, size_px, seed):
    """Segment i has class i, so the class under a pixel tells its old label, however labels are renumbered."""
    label_map = np.random.default_rng(seed).integers(0, 10, (height, width))
    arrays = batch_arrays(columns(make_sample(label_map, [(index, False) for index in range(9)])), size_px, 9)
    old_label = np.append(arrays["classes"][0], -1)[arrays["label_maps"][0].astype(int) - 1] + 1
    content = letterbox_size(height, width, size_px)
    expected = np.zeros((size_px, size_px), dtype=int)
    expected[: content[0], : content[1]] = nearest(label_map, *content)
    np.testing.assert_array_equal(old_label, expected)


def test_crowds_become_void(columns, make_sample):
    sample = make_sample([[1, 2], [3, 0]], [(4, False), (5, True), (6, False)])
    arrays = batch_arrays(columns(sample), 2, 4)
    assert arrays["label_maps"][0].tolist() == [[1, 0], [2, 0]]
    assert arrays["classes"].tolist() == [[4, 6, -1, -1]]


def test_segments_that_vanish_in_resizing_take_no_place(columns, make_sample):
    label_map = np.full((8, 8), 2)
    label_map[0, 0] = 1  # the centres of a 2 x 2 grid are at (2, 2), (2, 6), (6, 2), (6, 6)
    arrays = batch_arrays(columns(make_sample(label_map, [(4, False), (5, False)])), 2, 3)
    assert arrays["label_maps"][0].tolist() == [[1, 1], [1, 1]]
    assert arrays["classes"].tolist() == [[5, -1, -1]]


def test_of_too_many_segments_the_largest_stay_in_order(columns, make_sample):
    label_map = [[1, 2, 2, 2], [3, 3, 4, 4], [4, 4, 4, 0], [0, 0, 0, 0]]
    segments = [(10, False), (11, False), (12, False), (13, False)]
    arrays = batch_arrays(columns(make_sample(label_map, segments)), 4, 2)
    assert arrays["classes"].tolist() == [[11, 13]]
    assert arrays["label_maps"][0].tolist() == [[0, 1, 1, 1], [0, 0, 2, 2], [2, 2, 2, 0], [0, 0, 0, 0]]


def test_256_segments_fit_when_few_are_asked_for(columns, make_sample):
    label_map = np.arange(1, 301).reshape(15, 20)
    arrays = batch_arrays(columns(make_sample(label_map, [(i % 133, False) for i in range(300)])), 20, 255)
    assert arrays["label_maps"].max() == 255
    assert (arrays["classes"] >= 0).all()


def test_photos_and_labels_stay_aligned(columns, make_sample):
    """A white segment on black: at a quarter of the size the bright pixels are still the labelled ones."""
    label_map = np.zeros((64, 96), dtype=int)
    label_map[16:40, 32:72] = 1
    sample = make_sample(label_map, [(0, False)])
    sample = dataclasses.replace(sample, image=np.repeat(label_map[..., None] * 255, 3, axis=2).astype(np.uint8))
    arrays = batch_arrays(columns(sample), 24, 1)
    np.testing.assert_array_equal(arrays["images"][0, 1] > 127, arrays["label_maps"][0] == 1)


def test_large_photos_decoded_coarsely_stay_in_place(columns, make_sample):
    """193 px decode to 25 at an eighth, of which only 24.125 are photo: a slip would tilt the gradient by 9 levels."""
    sample = make_sample(np.ones((193, 193)), [(0, False)])
    arrays = batch_arrays(columns(sample), 12, 1)
    assert np.abs(arrays["images"][0].astype(int) - letterbox_image(sample.image, 12)).max() <= 2


def test_large_photos_decoded_coarsely_keep_their_detail(columns, make_sample, jpeg_of):
    """White noise is the worst case: a mean difference of 1.7 levels from the full decode; 4.1 without the gap."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    rows = columns(make_sample(np.ones((200, 200)), [(0, False)])) | {"image": [jpeg_of(noise)]}
    arrays = batch_arrays(rows, 25, 1)
    assert np.abs(arrays["images"][0].astype(int) - letterbox_image(noise, 25)).mean() < 2


def test_letterboxing_a_decoded_photo_is_antialiased():
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    letterboxed = letterbox_image(stripes, 16)
    assert letterboxed.shape == (3, 16, 16)
    assert np.abs(letterboxed[:, :, 1:-1].astype(int) - 127).max() <= 2  # grey, not black or white


def test_a_wide_photo_lies_at_the_top():
    letterboxed = letterbox_image(np.full((4, 8, 3), 200, dtype=np.uint8), 8)
    assert (letterboxed[:, :4] == 200).all()
    assert not letterboxed[:, 4:].any()


def test_a_grey_photo_has_three_equal_channels(columns, make_sample, jpeg_of):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    rows = columns(make_sample(np.zeros((8, 8)), [])) | {"image": [jpeg_of(grey)]}
    images = batch_arrays(rows, 4, 1)["images"][0]
    assert (images[0] == images[1]).all()
    assert images.any()


@pytest.mark.parametrize("max_segments", [0, 256])
def test_a_number_of_segments_that_8_bits_cannot_hold_is_refused(max_segments):
    with pytest.raises(ValueError, match=f"max_segments is {max_segments}; labels are 8-bit, use 1 to 255"):
        batch_arrays({"image_id": []}, 8, max_segments)


def test_damaged_rows_are_refused_by_name(columns, make_sample):
    rows = columns(make_sample(np.ones((64, 64)), [(0, False)], image_id=77))
    with pytest.raises(ValueError, match=r"\(image id 77\): is truncated or corrupt"):
        batch_arrays(rows | {"image": [rows["image"][0][:-40]]}, 64, 4)
    other = columns(make_sample(np.ones((64, 32)), [(0, False)]))
    with pytest.raises(ValueError, match=r"\(image id 77\): photo is 32 x 64, label map 64 x 64"):
        batch_arrays(rows | {"image": other["image"]}, 64, 4)


def random_batch(num_images, seed=0, size_px=6):
    rng = np.random.default_rng(seed)
    return Batch.from_arrays(
        {
            "images": rng.integers(0, 256, (num_images, 3, size_px, size_px), dtype=np.uint8),
            "label_maps": rng.integers(0, 4, (num_images, size_px, size_px), dtype=np.uint8),
            "classes": rng.integers(-1, 9, (num_images, 3)),
            "image_ids": np.arange(num_images),
        }
    )


def test_read_only_arrays_make_a_batch():
    arrays = {name: getattr(random_batch(2), name).numpy() for name in Batch.__dataclass_fields__}
    for array in arrays.values():
        array.flags.writeable = False
    batch = Batch.from_arrays(arrays)
    batch.images[0] = 0
    assert arrays["images"][0].any()


def test_a_batch_moves_whole():
    moved = random_batch(2).to("meta")
    assert {getattr(moved, name).device.type for name in Batch.__dataclass_fields__} == {"meta"}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_flips_move_image_and_labels_together_and_undo_themselves(num_images, seed):
    batch = random_batch(num_images, seed)
    flipped = augment(batch, generator_for(seed))
    for before, after, labels, moved in zip(
        batch.images, flipped.images, batch.label_maps, flipped.label_maps, strict=True
    ):
        is_flipped = torch.equal(after, before.flip(-1))
        assert is_flipped or torch.equal(after, before)
        assert torch.equal(moved, labels.flip(-1) if is_flipped else labels)
    twice = augment(flipped, generator_for(seed))
    assert torch.equal(twice.images, batch.images)
    assert torch.equal(twice.label_maps, batch.label_maps)
    assert torch.equal(flipped.classes, batch.classes)


def test_each_image_has_its_own_coin():
    batch = random_batch(400)
    flipped = augment(batch, generator_for(0, "coins"))
    changed = (flipped.images != batch.images).flatten(1).any(dim=1).float().mean().item()
    assert 0.4 < changed < 0.6  # four standard deviations


def test_augmenting_leaves_its_input_alone():
    batch = random_batch(8)
    kept = batch.images.clone()
    augment(batch, generator_for(0))
    assert torch.equal(batch.images, kept)


def test_real_photos_make_batches_with_every_large_segment(real_data):
    classes = coco_panoptic_119_14()
    records = read_panoptic(real_data / "coco_mini", "val2017", classes)[:4]
    rows = [encode_row(*load_sample(record, classes)) for record in records]
    arrays = batch_arrays({name: [row[name] for row in rows] for name in rows[0]}, 128, 64)
    for row, kept in zip(rows, arrays["classes"], strict=True):
        large = [s["class_index"] for s in row["segments"] if s["area_px"] > 3000 and not s["is_crowd"]]
        assert set(large) <= set(kept.tolist())


def test_turning_draws_every_symmetry_of_the_square_for_image_and_labels_together():
    pixels = torch.arange(16, dtype=torch.uint8).view(4, 4)
    batch = Batch(
        pixels.expand(200, 3, 4, 4), pixels.expand(200, 4, 4), torch.zeros(200, 1, dtype=torch.long), torch.arange(200)
    )
    turned = augment(batch, generator_for(0), turns=True)
    assert all(
        torch.equal(image, labels.expand(3, 4, 4))
        for image, labels in zip(turned.images, turned.label_maps, strict=True)
    )
    found = {tuple(labels.flatten().tolist()) for labels in turned.label_maps}
    symmetries = {tuple(torch.rot90(side, k).flatten().tolist()) for side in (pixels, pixels.flip(1)) for k in range(4)}
    assert found == symmetries
