import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pading.data.sample import Segment
from pading.evaluate.inference import Instances
from pading.evaluate.instance import InstanceTally, count_image
from pading.evaluate.overlap import Overlap, overlap


def found(classes: list[int], scores: list[float]) -> Instances:
    return Instances(queries=np.arange(len(classes)), classes=np.array(classes, int), scores=np.array(scores, float))


def overlap_of(iou: list[list[float]], classes: list[int], crowds: list[bool]) -> Overlap:
    return Overlap(iou=np.array(iou), classes=np.array(classes), is_crowd=np.array(crowds))


def random_image(seed: int, *, num_classes: int = 4, size: int = 18, num_queries: int = 40):
    """Masks that are shifted copies of the true segments, with rounded scores so that ties occur."""
    rng = np.random.default_rng(seed)
    label_map = np.kron(rng.integers(0, 7, (3, 3)), np.ones((6, 6), dtype=np.int64))
    segments = [
        Segment(segment_id=i, class_index=int(rng.integers(num_classes)), is_crowd=bool(rng.random() < 0.3), area_px=0)
        for i in range(6)
    ]
    masks = np.zeros((num_queries, size, size), dtype=bool)
    for query in range(num_queries):
        mask = label_map == rng.integers(1, 7)
        masks[query] = np.roll(mask, tuple(rng.integers(-1, 2, 2)), (0, 1)) & (rng.random((size, size)) < 0.9)
    detections = Instances(
        queries=rng.integers(0, num_queries, 150),
        classes=rng.integers(0, num_classes, 150),
        scores=rng.random(150).round(1),
    )
    return label_map, segments, masks, detections


def coco_evaluation(images, num_classes: int) -> COCOeval:
    """Run pycocotools on (label map, segments, masks, detections) of several images; image ids count from 1."""
    annotations, results = [], []
    for image_id, (label_map, segments, masks, detections) in images.items():
        for label, segment in enumerate(segments, start=1):
            encoded = rle.encode(np.asfortranarray(label_map == label).astype(np.uint8))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": segment.class_index,
                    "iscrowd": int(segment.is_crowd),
                    "segmentation": encoded,
                    "area": float(rle.area(encoded)),
                    "bbox": rle.toBbox(encoded).tolist(),
                }
            )
        for query, class_index, score in zip(detections.queries, detections.classes, detections.scores, strict=True):
            encoded = rle.encode(np.asfortranarray(masks[query]).astype(np.uint8))
            results.append(
                {
                    "image_id": image_id,
                    "category_id": int(class_index),
                    "segmentation": encoded,
                    "score": float(score),
                }
            )
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": image_id, "height": 18, "width": 18} for image_id in images],
        "annotations": annotations,
        "categories": [{"id": index, "name": str(index)} for index in range(num_classes)],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(results), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def assert_equals_coco(tally: InstanceTally, evaluation: COCOeval) -> None:
    precision = evaluation.eval["precision"][0, :, :, 0, -1].mean(axis=0)  # IoU 0.5, all areas, 100 detections
    recall = evaluation.eval["recall"][0, :, 0, -1]
    quality = tally.quality()
    assert (precision >= 0).any()
    np.testing.assert_allclose(quality.average_precision, np.where(precision < 0, np.nan, precision), rtol=0, atol=1e-9)
    np.testing.assert_allclose(quality.recall, np.where(recall < 0, np.nan, recall), rtol=0, atol=1e-9)


def test_precision_and_recall_worked_by_hand():
    # Two true instances; right at 0.9, wrong at 0.8, right at 0.7: precision 1 up to recall 1/2, then 2/3.
    iou = overlap_of([[0.9, 0.0], [0.1, 0.2], [0.0, 0.6]], [0, 0], [False, False])
    quality = count_image(1, found([0, 0, 0], [0.9, 0.8, 0.7]), [iou], [True, True]).quality()
    assert quality.average_precision[0] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101, abs=1e-12)
    assert quality.recall[0] == 1.0
    assert np.isnan(quality.average_precision[1])
    assert np.isnan(quality.recall[1])


def test_a_true_instance_is_matched_once_and_the_best_score_chooses_first():
    iou = overlap_of([[0.6], [0.9]], [0], [False])
    tally = count_image(1, found([0, 0], [0.5, 0.4]), [iou], [True])
    assert tally.is_matched[:, 0].tolist() == [True, False]
    assert tally.scores.tolist() == [0.5, 0.4]


def test_a_threshold_is_reached_by_equality():
    assert count_image(1, found([0], [1.0]), [overlap_of([[0.5]], [0], [False])], [True]).is_matched.all()


def test_a_crowd_excuses_any_number_of_detections_but_true_instances_come_first():
    iou = overlap_of([[0.95, 0.6], [0.9, 0.7], [0.9, 0.0]], [0, 0], [True, False])
    tally = count_image(1, found([0, 0, 0], [0.9, 0.8, 0.7]), [iou], [True])
    assert tally.is_matched[:, 0].tolist() == [True, False, False]
    assert tally.is_ignored[:, 0].tolist() == [False, True, True]
    assert tally.num_true.tolist() == [1]


def test_stuff_has_no_instances():
    iou = overlap_of([[0.9, 0.9]], [0, 1], [False, False])
    tally = count_image(1, found([0], [0.9]), [iou], [True, False])
    assert tally.num_true.tolist() == [1, 0]


def test_a_class_without_detections_has_precision_zero():
    tally = count_image(1, found([], []), [overlap_of([[0.0]], [0], [False])], [True])
    assert tally.quality().average_precision.tolist() == [0.0]
    assert tally.quality().recall.tolist() == [0.0]


@pytest.mark.parametrize("seed", range(6))
def test_random_images_equal_pycocotools(seed):
    num_classes = 5  # the last one has no truth and no detection
    images = {1 + i: random_image(100 * seed + i) for i in range(5)}
    tallies = []
    for image_id, (label_map, segments, masks, detections) in images.items():
        overlaps = overlap(torch.from_numpy(masks), label_map[None], segments)
        tallies.append(count_image(image_id, detections, [overlaps], [True] * num_classes))
    assert any(tally.is_ignored.any() for tally in tallies)
    assert_equals_coco(InstanceTally.total(tallies), coco_evaluation(images, num_classes))


def test_only_the_best_hundred_detections_of_a_class_count():
    label_map, segments, masks, _ = random_image(7)
    rng = np.random.default_rng(0)
    detections = Instances(queries=rng.integers(0, 40, 260), classes=np.arange(260) % 2, scores=rng.random(260))
    tally = count_image(1, detections, [overlap(torch.from_numpy(masks), label_map[None], segments)], [True] * 4)
    assert np.bincount(tally.classes).tolist() == [100, 100]
    assert_equals_coco(tally, coco_evaluation({1: (label_map, segments, masks, detections)}, 4))


@functools.cache
def random_tallies() -> list[InstanceTally]:
    tallies = []
    for image_id in range(5):
        label_map, segments, masks, detections = random_image(image_id)
        overlaps = overlap(torch.from_numpy(masks), label_map[None], segments)
        tallies.append(count_image(image_id, detections, [overlaps], [True] * 4))
    return tallies


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(5)))
def test_merging_tallies_is_order_free(order):
    tallies = random_tallies()
    one = InstanceTally.total(tallies).quality()
    two = sum([tallies[i] for i in order[1:]], start=tallies[order[0]]).quality()
    np.testing.assert_array_equal(one.average_precision, two.average_precision)
    np.testing.assert_array_equal(one.recall, two.recall)


def test_official_fake_results_of_a_hundred_photos_equal_pycocotools(real_data):
    folder = real_data / "metric_oracles" / "ap_cocoapi_val2014_fake100"
    truth = COCO(str(folder / "instances_val2014_100.json"))
    results = truth.loadRes(str(folder / "instances_val2014_fakesegm100_results.json"))
    evaluation = COCOeval(truth, results, "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    index_of = {coco_id: index for index, coco_id in enumerate(evaluation.params.catIds)}

    tallies = []
    for image_id in truth.getImgIds():
        annotations, detected = truth.imgToAnns[image_id], results.imgToAnns[image_id]
        crowds = [bool(annotation["iscrowd"]) for annotation in annotations]
        iou = np.zeros((len(detected), len(annotations)))
        if detected and annotations:
            iou = rle.iou([d["segmentation"] for d in detected], [truth.annToRLE(a) for a in annotations], crowds)
        true_classes = [index_of[annotation["category_id"]] for annotation in annotations]
        overlaps = Overlap(iou=iou, classes=np.array(true_classes, int), is_crowd=np.array(crowds, bool))
        detections = found([index_of[d["category_id"]] for d in detected], [d["score"] for d in detected])
        tallies.append(count_image(image_id, detections, [overlaps], [True] * len(index_of)))
    total = InstanceTally.total(tallies)
    assert_equals_coco(total, evaluation)
    assert round(float(np.nanmean(total.quality().average_precision)), 3) == 0.562  # val2014_fake_eval_res.txt
