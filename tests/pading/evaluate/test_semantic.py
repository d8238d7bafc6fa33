import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pading.data.sample import Segment
from pading.evaluate.semantic import SemanticTally, count_image


def segments(*classes: int) -> list[Segment]:
    return [Segment(segment_id=i, class_index=c, is_crowd=False, area_px=0) for i, c in enumerate(classes)]


def random_tally(seed: int) -> SemanticTally:
    rng = np.random.default_rng(seed)
    return count_image(rng.integers(0, 5, (6, 7)), rng.integers(0, 4, (6, 7)), segments(3, 1, 3), 5)


def test_iou_worked_by_hand():
    # Two segments of class 2, one of class 0, one void pixel (predicted 1, which therefore does not count).
    tally = count_image(np.array([[2, 2, 0, 0, 1]]), np.array([[1, 2, 2, 3, 0]]), segments(2, 2, 0), 4)
    assert tally.confusion[2].tolist() == [1, 0, 2, 0]
    assert tally.confusion[0].tolist() == [1, 0, 0, 0]
    assert tally.num_ignored == 1
    np.testing.assert_array_equal(tally.iou(), [1 / 2, np.nan, 2 / 3, np.nan])
    np.testing.assert_array_equal(tally.accuracy(), [1, np.nan, 2 / 3, np.nan])
    assert tally.pixel_accuracy() == 3 / 4


def test_a_class_that_is_only_predicted_has_iou_zero():
    tally = count_image(np.array([[1]]), np.array([[1]]), segments(0), 2)
    np.testing.assert_array_equal(tally.iou(), [0, 0])
    np.testing.assert_array_equal(tally.accuracy(), [0, np.nan])


def test_an_image_of_void_counts_nothing():
    tally = count_image(np.zeros((2, 3), int), np.zeros((2, 3), np.uint16), [], 2)
    assert tally.confusion.sum() == 0
    assert tally.num_ignored == 6
    assert np.isnan(tally.pixel_accuracy())


@settings(max_examples=20, deadline=None)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=2, max_size=5), order=st.randoms(use_true_random=False))
def test_merging_tallies_is_order_free_and_loses_no_pixel(seeds, order):
    tallies = [random_tally(seed) for seed in seeds]
    shuffled = order.sample(tallies, len(tallies))
    one, two = sum(tallies[1:], start=tallies[0]), sum(shuffled[1:], start=shuffled[0])
    np.testing.assert_array_equal(one.confusion, two.confusion)
    assert one.num_ignored == two.num_ignored
    assert one.confusion.sum() + one.num_ignored == 42 * len(seeds)


def test_merging_equals_one_pass_over_both_images():
    rng = np.random.default_rng(0)
    predicted, labels = rng.integers(0, 5, (8, 6)), rng.integers(0, 4, (8, 6))
    whole = count_image(predicted, labels, segments(0, 4, 1), 5)
    halves = [count_image(predicted[part], labels[part], segments(0, 4, 1), 5) for part in (slice(3), slice(3, 8))]
    np.testing.assert_array_equal(whole.confusion, (halves[0] + halves[1]).confusion)


def test_contradictory_maps_are_refused():
    with pytest.raises(ValueError, match="differ in size"):
        count_image(np.zeros((1, 2), int), np.zeros((1, 3), int), [], 1)
    with pytest.raises(ValueError, match=r"labels 0\.\.3 leave 0\.\.2"):
        count_image(np.array([[0, 3]]), np.zeros((1, 2), int), [], 3)
    with pytest.raises(ValueError, match=r"labels -1\.\.0"):
        count_image(np.array([[0, -1]]), np.zeros((1, 2), int), [], 3)
    with pytest.raises(ValueError, match=r"labels 1\.\.2 leave 0\.\.1"):
        count_image(np.zeros((1, 2), int), np.array([[1, 2]]), segments(0), 1)


def test_stuff_of_two_real_photos_equals_the_official_evaluation(real_data):
    folder = real_data / "metric_oracles" / "stuff_cocostuffapi_examples"
    expected = json.loads((folder / "expected_COCOStuffeval.json").read_text())
    num_classes = 184  # the PNG values are the COCO ids 92..183; every other value is void
    tallies = []
    for path in sorted((folder / "gt_png").iterdir()):
        truth = np.asarray(Image.open(path)).astype(np.int64)
        predicted = np.asarray(Image.open(folder / "pred_png" / path.name)).astype(np.int64)
        is_stuff = (truth >= 92) & (truth <= 183)
        tallies.append(
            count_image(predicted, np.where(is_stuff, truth + 1, 0), segments(*range(num_classes)), num_classes)
        )
    tally = tallies[0] + tallies[1]
    iou, accuracy = tally.iou(), tally.accuracy()
    true_pixels = tally.confusion.sum(axis=1)
    is_true = true_pixels > 0
    assert iou[is_true].mean() == pytest.approx(expected["stats"]["mIoU"], abs=1e-12)
    assert accuracy[is_true].mean() == pytest.approx(expected["stats"]["mAcc"], abs=1e-12)
    assert tally.pixel_accuracy() == pytest.approx(expected["stats"]["pAcc"], abs=1e-12)
    weighted = (iou * true_pixels)[is_true].sum() / true_pixels.sum()
    assert weighted == pytest.approx(expected["stats"]["fwIoU"], abs=1e-12)
    for coco_id, value in expected["ious_by_category_id"].items():
        assert iou[int(coco_id)] == pytest.approx(value, abs=1e-12)
