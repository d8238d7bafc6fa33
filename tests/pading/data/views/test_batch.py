import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pading.data.coco.source import load, read
from pading.data.errors import DataError
from pading.data.shards.rows import encode_row
from pading.data.views.batch import Batch, batch_arrays
from pading.data.views.jitter import JitterConfig, View, draw_view, letterbox_view
from pading.data.views.resample import letterbox_image
from pading.splits.published import find_split

IGNORED = 255
PALETTE = np.array([[240, 240, 240], [250, 10, 10], [10, 250, 10], [10, 10, 250]], dtype=np.uint8)


@pytest.fixture
def columns(jpeg_of):
    def encode(*samples):
        rows = [encode_row(jpeg_of(sample.image), sample) for sample in samples]
        return {name: [row[name] for row in rows] for name in rows[0]}

    return encode


def letterboxed(rows, size_px, max_segments, has_background=False):
    sizes = zip(rows["height"], rows["width"], strict=True)
    views = [letterbox_view(height, width, size_px) for height, width in sizes]
    return batch_arrays(rows, views, size_px, max_segments, has_background=has_background)


def test_an_image_of_the_target_size_is_unchanged_and_its_padding_black_and_ignored(columns, make_sample):
    sample = make_sample([[1, 1, 0, 2], [1, 0, 2, 2]], [(7, False), (3, False)], image_id=5)
    arrays = letterboxed(columns(sample), 4, 3)
    i = IGNORED
    assert arrays["label_maps"].tolist() == [[[[1, 1, i, 2], [1, i, 2, 2], [i, i, i, i], [i, i, i, i]]]]
    assert arrays["classes"].tolist() == [[7, 3, -1]]
    assert arrays["image_ids"].tolist() == [5]
    assert not arrays["images"][0, :, 2:].any()
    assert np.abs(arrays["images"][0, :, :2].transpose(1, 2, 0).astype(int) - sample.image).max() <= 3


def test_background_is_no_void_and_padding_is_ignored_still(columns, make_sample):
    sample = make_sample([[[1, 1, 0]], [[0, 2, 0]]], [(7, False), (3, False)])
    arrays = letterboxed(columns(sample), 3, 2, has_background=True)
    i = IGNORED
    assert arrays["label_maps"].tolist() == [[[[1, 1, 0], [i, i, i], [i, i, i]], [[0, 2, 0], [0, 0, 0], [0, 0, 0]]]]


def test_shapes_and_types_do_not_depend_on_the_photos(columns, make_sample):
    samples = (make_sample(np.ones((9, 5)), [(0, False)]), make_sample(np.zeros((2, 31)), [], image_id=2))
    arrays = letterboxed(columns(*samples), 8, 6)
    shapes = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    assert shapes == {
        "images": ((2, 3, 8, 8), "uint8"),
        "label_maps": ((2, 1, 8, 8), "uint8"),
        "classes": ((2, 6), "int64"),
        "image_ids": ((2,), "int64"),
    }


def test_a_batch_has_the_layers_of_its_most_crowded_image(columns, make_sample):
    one = make_sample(np.ones((4, 4)), [(0, False)])
    three = make_sample([np.full((4, 4), n) for n in (1, 2, 3)], [(0, False)] * 3, image_id=2)
    assert letterboxed(columns(one, three), 4, 6, has_background=True)["label_maps"].shape == (2, 3, 4, 4)
    assert letterboxed(columns(one), 4, 6, has_background=True)["label_maps"].shape == (1, 1, 4, 4)
    assert letterboxed(columns(three), 4, 2, has_background=True)["label_maps"].shape == (1, 2, 4, 4)


def test_no_rows_make_an_empty_batch(columns, make_sample):
    rows = {name: [] for name in columns(make_sample(np.ones((4, 4)), [(0, False)]))}
    shapes = {name: array.shape for name, array in letterboxed(rows, 8, 6).items()}
    assert shapes == {"images": (0, 3, 8, 8), "label_maps": (0, 1, 8, 8), "classes": (0, 6), "image_ids": (0,)}


def test_a_crop_without_a_segment_is_fine(columns, make_sample):
    label_map = np.zeros((8, 8))
    label_map[0, 0] = 1
    view = View(top=4, left=4, height=4, width=4, content_height=8, content_width=8)
    arrays = batch_arrays(columns(make_sample(label_map, [(3, False)])), [view], 8, 2, has_background=False)
    assert (arrays["label_maps"] == IGNORED).all()
    assert arrays["classes"].tolist() == [[-1, -1]]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from(["letterbox", "large-scale", "shortest-edge"]),
    turns=st.booleans(),
    seed=st.integers(0, 9999),
    height=st.integers(24, 90),
    width=st.integers(24, 90),
)
def test_photos_and_labels_stay_aligned_in_every_view(columns, make_sample, mode, turns, seed, height, width):
    """Each segment is painted in its own colour: away from edges, the colour of a pixel tells its class."""
    random = np.random.default_rng(seed)
    label_map = np.kron(random.integers(0, 4, (6, 6)), np.ones((15, 15), dtype=int))[:height, :width]
    sample = make_sample(label_map, [(1, False), (2, False), (3, False)])
    sample = dataclasses.replace(sample, image=PALETTE[label_map])
    view = draw_view(
        JitterConfig(mode=mode, turns=turns, min_scale=0.5, shortest_px=(20, 60)), height, width, 40, random
    )
    arrays = batch_arrays(columns(sample), [view], 40, 3, has_background=True)
    labels = arrays["label_maps"][0, 0]
    class_of = np.zeros(256, dtype=int)
    class_of[1:4] = arrays["classes"][0]
    classes = class_of[labels]
    content = (view.content_height, view.content_width)[:: -1 if view.quarter_turns % 2 else 1]
    assert (labels[: content[0], : content[1]] != IGNORED).all()
    assert (labels[content[0] :] == IGNORED).all()
    assert (labels[:, content[1] :] == IGNORED).all()
    windows = np.lib.stride_tricks.sliding_window_view(classes[: content[0], : content[1]], (3, 3))
    is_inner = np.ptp(windows, axis=(2, 3)) == 0
    inside = np.s_[1 : content[0] - 1, 1 : content[1] - 1]
    colours = arrays["images"][0].transpose(1, 2, 0)[inside][is_inner].astype(int)
    assert is_inner.any()
    assert (np.abs(colours[:, None] - PALETTE).sum(axis=2).argmin(axis=1) == classes[inside][is_inner]).all()


def test_a_training_photo_looks_as_the_evaluated_one(columns, make_sample):
    """Decoded from bytes for training, and from pixels for prediction: the same letterbox."""
    sample = make_sample(np.ones((193, 187)), [(0, False)])
    for size_px in (12, 100, 187, 250):
        image = letterboxed(columns(sample), size_px, 1)["images"][0]
        assert np.abs(image.astype(int) - letterbox_image(sample.image, size_px)).max() <= 3


def test_a_grey_photo_has_three_equal_channels(columns, make_sample, jpeg_of):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    rows = columns(make_sample(np.zeros((8, 8)), [])) | {"image": [jpeg_of(grey)]}
    images = letterboxed(rows, 4, 1)["images"][0]
    assert (images[0] == images[1]).all()
    assert images.any()


def test_colours_change_and_labels_do_not(columns, make_sample):
    rows = columns(make_sample(np.ones((16, 16)), [(0, False)]))
    config = JitterConfig(flip=False, colour=True)
    views = [draw_view(config, 16, 16, 16, np.random.default_rng(seed)) for seed in range(20)]
    shown = [batch_arrays(rows, [view], 16, 1, has_background=False) for view in views]
    assert len({arrays["images"].tobytes() for arrays in shown}) > 10
    assert len({arrays["label_maps"].tobytes() for arrays in shown}) == 1


def test_more_than_255_segments_fit_when_fewer_are_asked_for(columns, make_sample):
    label_map = np.arange(1, 301).reshape(15, 20)
    arrays = letterboxed(columns(make_sample(label_map, [(i % 133, False) for i in range(300)])), 20, 254)
    assert sorted(set(arrays["label_maps"].ravel().tolist())) == list(range(1, 256))
    assert (arrays["classes"] >= 0).all()


@pytest.mark.parametrize("max_segments", [0, 255])
def test_a_number_of_segments_that_8_bits_cannot_hold_is_refused(max_segments):
    with pytest.raises(ValueError, match=f"max_segments is {max_segments}; labels are 8-bit, use 1 to 254"):
        batch_arrays({"image_id": []}, [], 8, max_segments, has_background=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"top": 1},
        {"left": -1},
        {"height": 0},
        {"width": 9},
        {"content_height": 5},
        {"content_width": 0},
    ],
)
def test_a_view_of_another_photo_is_refused_by_name(columns, make_sample, changes):
    rows = columns(make_sample(np.ones((8, 8)), [(0, False)], image_id=77))
    view = dataclasses.replace(letterbox_view(8, 8, 4), **changes)
    with pytest.raises(ValueError, match=r"\(image id 77\): View.* not within a photo of 8 x 8 and a canvas of 4 px"):
        batch_arrays(rows, [view], 4, 4, has_background=False)


def test_a_view_is_asked_for_each_row(columns, make_sample):
    rows = columns(make_sample(np.ones((8, 8)), [(0, False)]))
    with pytest.raises(ValueError, match="1 rows but 2 views"):
        batch_arrays(rows, [letterbox_view(8, 8, 4)] * 2, 4, 4, has_background=False)


@pytest.mark.parametrize("size_px", [64, 8])
def test_damaged_rows_are_refused_by_name(columns, make_sample, size_px):
    rows = columns(make_sample(np.ones((64, 64)), [(0, False)], image_id=77))
    with pytest.raises(DataError, match=r"\(image id 77\): is truncated or corrupt"):
        letterboxed(rows | {"image": [rows["image"][0][:-40]]}, size_px, 4)
    with pytest.raises(DataError, match=r"\(image id 77\): label map is truncated or corrupt"):
        letterboxed(rows | {"label_maps": [[rows["label_maps"][0][0][:-2]]]}, size_px, 4)
    other = columns(make_sample(np.ones((64, 32)), [(0, False)]))
    with pytest.raises(DataError, match=r"\(image id 77\): photo is 32 x 64, label map 64 x 64"):
        letterboxed(rows | {"image": other["image"]}, size_px, 4)


def test_real_photos_make_batches_with_every_large_segment(real_data):
    split = find_split("coco-panoptic-119-14")
    images = [load(record, split, "val") for record in read(real_data / "coco_mini", split, "val")[:4]]
    rows = [encode_row(image.jpeg, image.sample) for image in images]
    arrays = letterboxed({name: [row[name] for row in rows] for name in rows[0]}, 128, 64)
    for row, kept in zip(rows, arrays["classes"], strict=True):
        large = [s["class_index"] for s in row["segments"] if s["area_px"] > 3000 and not s["is_crowd"]]
        assert set(large) <= set(kept.tolist())


def random_arrays(num_images):
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 256, (num_images, 3, 6, 6), dtype=np.uint8),
        "label_maps": rng.integers(0, 4, (num_images, 1, 6, 6), dtype=np.uint8),
        "classes": rng.integers(-1, 9, (num_images, 3)),
        "image_ids": np.arange(num_images),
    }


def test_arrays_become_a_batch_without_a_copy():
    arrays = random_arrays(2)
    batch = Batch.from_arrays(arrays)
    batch.images[0, 0, 0, 0] = 7
    assert arrays["images"][0, 0, 0, 0] == 7


def test_read_only_arrays_make_a_batch():
    arrays = random_arrays(2)
    for array in arrays.values():
        array.flags.writeable = False
    batch = Batch.from_arrays(arrays)
    batch.images[0] = 0
    assert arrays["images"][0].any()


def test_a_batch_moves_whole():
    moved = Batch.from_arrays(random_arrays(2)).to("meta")
    assert {getattr(moved, name).device.type for name in Batch.__dataclass_fields__} == {"meta"}
