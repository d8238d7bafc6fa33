import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pading.data.sample import Segment
from pading.evaluate.panoptic import PanopticTally, count_image
from pading.segmenter.torchvision_on_cpu import make_torchvision_importable
from tests.references.evaluate_panoptic import (
    count_pairs,
    pairs_by_pixel,
    pairs_by_unique,
    predicted_segments,
    true_segments,
)


def segment(class_index: int, *, is_crowd: bool = False) -> Segment:
    return Segment(segment_id=1, class_index=class_index, is_crowd=is_crowd, area_px=0)


def row(text: str) -> np.ndarray:
    return np.array([[int(letter) for letter in text]])


def counts_of(tally: PanopticTally) -> list[tuple[int, int, int]]:
    columns = zip(tally.true_positives, tally.false_positives, tally.false_negatives, strict=True)
    return [(int(tp), int(fp), int(fn)) for tp, fp, fn in columns]


def random_case(seed: int, *, num_classes: int = 4, size: int = 24):
    """Blocky maps whose prediction is the truth disturbed, so that matches, misses, voids and crowds all occur."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 9, (6, 6))
    label_map = np.kron(blocks, np.ones((size // 6, size // 6), dtype=np.int64))
    disturbed = np.where(rng.random((6, 6)) < 0.3, rng.integers(0, 9, (6, 6)), blocks)
    predicted = np.roll(np.kron(disturbed, np.ones((size // 6, size // 6), dtype=np.int64)), int(rng.integers(3)), 1)
    present = np.unique(predicted[predicted > 0])
    predicted = np.where(predicted > 0, np.searchsorted(present, predicted) + 1, 0)
    segments = [segment(int(c), is_crowd=bool(rng.random() < 0.3)) for c in rng.integers(0, num_classes, 8)]
    flipped = rng.random(8) < 0.2
    classes = np.array([segments[label - 1].class_index for label in present], dtype=np.int64)
    classes[flipped[: len(classes)]] = rng.integers(0, num_classes)
    return predicted.astype(np.int32), classes, label_map.astype(np.uint16), segments, num_classes


def test_quality_of_one_row_worked_by_hand():
    # Truth:      class 0 on 4 pixels, class 1 on 4 pixels. Prediction: class 0 on 3 of its 4, then class 1 on 1 + 4.
    tally = count_image(row("11122222"), np.array([0, 1]), row("11112222"), [segment(0), segment(1)], 3)
    assert counts_of(tally) == [(1, 0, 0), (1, 0, 0), (0, 0, 0)]
    np.testing.assert_array_equal(tally.iou_sum, [3 / 4, 4 / 5, 0])
    np.testing.assert_array_equal(tally.quality().pq, [3 / 4, 4 / 5, np.nan])


def test_exactly_half_does_not_match():
    tally = count_image(row("1100"), np.array([0]), row("1111"), [segment(0)], 1)
    assert counts_of(tally) == [(0, 1, 1)]
    assert tally.quality().sq.tolist() == [0.0]


def test_void_pixels_leave_the_union():
    # 3 of 4 true pixels are covered and 3 more predicted pixels are void: IoU 3/4, not 3/7.
    tally = count_image(row("1110111"), np.array([0]), row("1111000"), [segment(0)], 1)
    assert counts_of(tally) == [(1, 0, 0)]
    assert tally.iou_sum.tolist() == [3 / 4]


def test_an_unmatched_prediction_is_excused_by_more_than_half_void_or_crowd():
    crowd = [segment(0, is_crowd=True), segment(1)]
    half = count_image(row("1111"), np.array([0]), row("1122"), crowd, 2)
    assert counts_of(half) == [(0, 1, 0), (0, 0, 1)]
    more = count_image(row("1111"), np.array([0]), row("1102"), crowd, 2)
    assert counts_of(more) == [(0, 0, 0), (0, 0, 1)]
    other_class = count_image(row("1111"), np.array([1]), row("1110"), crowd[:1], 2)
    assert counts_of(other_class) == [(0, 0, 0), (0, 1, 0)]


def test_only_the_last_crowd_of_a_class_excuses():
    crowds = [segment(0, is_crowd=True), segment(0, is_crowd=True)]
    first = count_image(row("1110"), np.array([0]), row("1112"), crowds, 1)
    last = count_image(row("0111"), np.array([0]), row("1222"), crowds, 1)
    assert counts_of(first) == [(0, 1, 0)]
    assert counts_of(last) == [(0, 0, 0)]


def test_crowds_are_neither_matched_nor_missed():
    tally = count_image(row("11"), np.array([0]), row("11"), [segment(0, is_crowd=True)], 1)
    assert counts_of(tally) == [(0, 0, 0)]


def test_a_true_segment_without_pixels_is_missed():
    assert counts_of(count_image(row("00"), np.zeros(0, int), row("00"), [segment(0)], 1)) == [(0, 0, 1)]


@pytest.mark.parametrize("seed", range(40))
def test_counts_equal_a_literal_reading_of_panopticapi(seed):
    predicted, classes, label_map, segments, num_classes = random_case(seed)
    tally = count_image(predicted, classes, label_map, segments, num_classes)
    truth, prediction = true_segments(label_map, segments), predicted_segments(predicted, classes)
    pairs = pairs_by_pixel(label_map, predicted)
    assert pairs == pairs_by_unique(label_map, predicted)
    expected = count_pairs(pairs, truth, prediction)
    assert counts_of(tally) == [(expected[c].tp, expected[c].fp, expected[c].fn) for c in range(num_classes)]
    np.testing.assert_allclose(tally.iou_sum, [expected[c].iou for c in range(num_classes)], rtol=0, atol=1e-12)


def test_random_cases_exercise_every_rule():
    tallies = [count_image(*random_case(seed)) for seed in range(40)]
    assert sum(t.true_positives.sum() for t in tallies) > 50
    assert sum(t.false_positives.sum() for t in tallies) > 20
    assert sum(t.false_negatives.sum() for t in tallies) > 20
    assert sum(s.is_crowd for seed in range(40) for s in random_case(seed)[3]) > 20


@settings(max_examples=30, deadline=None)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=2, max_size=6), order=st.randoms(use_true_random=False))
def test_merging_tallies_is_order_free_and_quality_stays_in_bounds(seeds, order):
    tallies = [count_image(*random_case(seed)) for seed in seeds]
    shuffled = order.sample(tallies, len(tallies))
    one = sum(tallies[1:], start=tallies[0])
    two = sum(shuffled[1:], start=shuffled[0])
    assert counts_of(one) == counts_of(two)
    np.testing.assert_allclose(one.iou_sum, two.iou_sum, rtol=0, atol=1e-12)
    quality = one.quality()
    present = ~np.isnan(quality.pq)
    for values in (quality.pq, quality.sq, quality.rq):
        assert np.array_equal(~np.isnan(values), present)
        assert (values[present] >= 0).all()
        assert (values[present] <= 1).all()
    assert (quality.pq[present] <= np.minimum(quality.sq, quality.rq)[present] + 1e-12).all()
    np.testing.assert_allclose(quality.pq[present], (quality.sq * quality.rq)[present], rtol=1e-12)


def test_a_perfect_prediction_has_quality_one():
    _, _, label_map, segments, num_classes = random_case(3)
    segments = [segment(s.class_index) for s in segments]
    present = np.unique(label_map[label_map > 0])
    predicted = np.where(label_map > 0, np.searchsorted(present, label_map) + 1, 0)
    classes = np.array([segments[label - 1].class_index for label in present])
    kept = [segments[label - 1] for label in present]
    quality = count_image(predicted, classes, predicted, kept, num_classes).quality()
    assert np.nanmin(quality.pq) == 1.0


def test_contradictory_maps_are_refused():
    with pytest.raises(ValueError, match="differ in size"):
        count_image(row("11"), np.array([0]), row("111"), [segment(0)], 1)
    with pytest.raises(ValueError, match=r"labels 1\.\.2 leave 0\.\.1"):
        count_image(row("12"), np.array([0]), row("11"), [segment(0)], 1)
    with pytest.raises(ValueError, match=r"labels 1\.\.3 leave 0\.\.1"):
        count_image(row("11"), np.array([0]), row("13"), [segment(0)], 1)
    with pytest.raises(ValueError, match=r"segments \[2\] have no pixel"):
        count_image(row("11"), np.array([0, 0]), row("11"), [segment(0)], 1)


def test_quality_of_a_real_photo_equals_panopticapi(real_data):
    folder = real_data / "metric_oracles" / "pq_deeplab2_team"
    expected = json.loads((folder / "expected.json").read_text())["panopticapi"]
    maps, infos = {}, {}
    for side in ("gt", "pred"):
        pixels = np.asarray(Image.open(folder / f"panoptic_{side}" / "team.png").convert("RGB")).astype(np.int64)
        ids = pixels @ np.array([1, 256, 256**2])
        infos[side] = json.loads((folder / f"panoptic_{side}.json").read_text())["annotations"][0]["segments_info"]
        maps[side] = sum((ids == info["id"]) * (i + 1) for i, info in enumerate(infos[side]))
    segments = [segment(info["category_id"] - 1, is_crowd=bool(info["iscrowd"])) for info in infos["gt"]]
    classes = np.array([info["category_id"] - 1 for info in infos["pred"]])
    tally = count_image(maps["pred"], classes, maps["gt"], segments, 6)
    quality = tally.quality()
    for category, numbers in expected["per_class"].items():
        index = int(category) - 1
        assert counts_of(tally)[index] == (numbers["tp"], numbers["fp"], numbers["fn"])
        assert tally.iou_sum[index] == pytest.approx(numbers["iou_sum"], abs=1e-12)
    # panopticapi averages over the classes that occur: 2 of 6.
    for name, values in (("pq", quality.pq), ("sq", quality.sq), ("rq", quality.rq)):
        assert np.nanmean(values) == pytest.approx(expected["All"][name], abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(seeds=st.lists(st.integers(0, 10**6), min_size=3, max_size=9), cut=st.integers(1, 8), order=st.randoms())
def test_sums_of_iou_are_exact_so_that_any_grouping_gives_the_same_bits(seeds, cut, order):
    tallies = [count_image(*random_case(seed)) for seed in seeds]
    whole = sum(tallies[1:], start=tallies[0])
    order.shuffle(tallies)
    groups = [group for group in (tallies[: cut % len(tallies)], tallies[cut % len(tallies) :]) if group]
    sums = [sum(group[1:], start=group[0]) for group in groups]
    other = sum(sums[1:], start=sums[0])
    np.testing.assert_array_equal(whole.iou_sum, other.iou_sum)
    exact = [math.fsum(values) for values in zip(*(tally.iou_sum for tally in tallies), strict=True)]
    if all(tally.true_positives.max() <= 1 for tally in tallies):  # then each tally's own sum is one IoU, unrounded
        assert whole.iou_sum.tolist() == exact
    np.testing.assert_allclose(whole.iou_sum, exact, rtol=0, atol=1e-14)


@pytest.mark.filterwarnings("ignore")  # of a library that is an oracle here, and no part of the project
def test_segments_without_crowds_or_void_have_the_quality_that_torchmetrics_finds():
    make_torchvision_importable()
    detection = pytest.importorskip(
        "torchmetrics.detection", reason="torchmetrics, of the test extra, is not installed"
    )
    metric = detection.PanopticQuality(things=set(range(4)), stuffs=set(), return_sq_and_rq=True, return_per_class=True)
    tallies = []
    for seed in range(12):
        predicted, classes, label_map, segments, num_classes = random_case(seed)
        segments = [segment(one.class_index) for one in segments]
        truth = np.maximum(label_map, 1)  # no void
        numbers = np.unique(truth)
        truth, segments = np.searchsorted(numbers, truth) + 1, [segments[number - 1] for number in numbers]
        full = np.where(predicted > 0, predicted, 1)
        present = np.unique(full)
        full, classes = np.searchsorted(present, full) + 1, classes[present - 1]
        tallies.append(count_image(full, classes, truth, segments, num_classes))
        kinds = np.array([one.class_index for one in segments])
        pictures = [
            np.stack([table[labels - 1], labels], -1)[None] for table, labels in ((classes, full), (kinds, truth))
        ]
        metric.update(*(torch.from_numpy(picture) for picture in pictures))
    quality = sum(tallies[1:], start=tallies[0]).quality()
    pq, sq, rq = metric.compute().double().numpy().reshape(4, 3).T  # its sums are in float64, its answer in float32
    for ours, theirs in ((quality.pq, pq), (quality.sq, sq), (quality.rq, rq)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7)
    assert 0 < quality.pq.min() < quality.pq.max() < 1
