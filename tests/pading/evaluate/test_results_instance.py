"""Instance result files: read, refused with one clear error, and counted as COCOeval counts."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pading.classes import ClassTable
from pading.evaluate.results_instance import (
    Kind,
    average_precision,
    count_instances,
    read_instance_results,
    read_instance_truth,
    read_true_boxes,
)
from pading.evaluate.results_scores import instance_scores
from pading.splits.published import find_split
from pading.splits.split import Split

CLASSES = ClassTable(name="own", names=("dog", "cat"), coco_ids=(18, 17), is_thing=(True, True), is_seen=(True, False))
SPLIT = Split(name="own", task="instance", classes=CLASSES)
SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]  # 4 x 4 pixels, from (1, 1)


def result(**other: Any) -> dict[str, Any]:
    runs = {"size": [8, 8], "counts": [9, 4, 4, 4, 4, 4, 4, 4, 27]}  # the square, down the columns
    return {"image_id": 1, "category_id": 18, "score": 0.5, "segmentation": runs, "bbox": [1, 1, 4, 4], **other}


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    def annotation(number: int, category: int, is_crowd: int = 0) -> dict[str, Any]:
        outline = [SQUARE] if not is_crowd else {"size": [8, 8], "counts": [0, 64]}
        common = {"id": number, "image_id": 1, "category_id": category, "iscrowd": is_crowd, "area": 16}
        return {**common, "bbox": [1, 1, 4, 4] if not is_crowd else [0, 0, 8, 8], "segmentation": outline}

    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": 8, "width": 8}],
        "annotations": [annotation(1, 18), annotation(2, 17), annotation(3, 17, 1)],
        "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    return tmp_path / "truth.json"


def scores(truth: Path, results: Any, kind: Kind = "segm", split: Split = SPLIT) -> dict[str, float]:
    path = truth
    if not isinstance(results, Path):
        path = truth.with_name("results.json")
        path.write_text(json.dumps(results))
    else:
        path = results
    listed = read_instance_truth(truth, split)
    found = read_instance_results(path, kind, split.classes, listed)
    boxes = read_true_boxes(truth) if kind == "bbox" else None
    return instance_scores(count_instances(listed, found, split.classes, boxes), split.classes, kind)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_one_image_by_hand(kind: Kind, truth: Path) -> None:
    """The dog is found exactly; of two cats, one exact at a worse score than one in the crowd, which is ignored."""
    corner = result(category_id=17, score=0.9, bbox=[6, 6, 2, 2])
    corner["segmentation"] = {"size": [8, 8], "counts": [54, 2, 6, 2]}
    found = scores(truth, [corner, result(category_id=17, score=0.2), result()], kind)
    ap, ap50, recall = ("ap", "ap50", "recall100") if kind == "segm" else ("box_ap", "box_ap50", "box_recall100")
    assert (found[f"{ap}/seen"], found[f"{ap}/unseen"], found[f"{ap50}/hm"]) == pytest.approx((100, 100, 100))
    wrong = result(score=0.9, bbox=[6, 6, 2, 2], segmentation=corner["segmentation"])
    found = scores(truth, [wrong, result()], kind)
    assert (found[f"{ap50}/seen"], found[f"{recall}/seen"]) == pytest.approx((50, 100))
    assert (found[f"{ap50}/unseen"], found[f"{ap50}/hm"]) == (0, 0)


def test_no_result_at_all_finds_nothing(truth: Path) -> None:
    assert scores(truth, [])["ap50/all"] == 0


@pytest.mark.parametrize(
    ("results", "kind", "message"),
    [
        ([result(image_id=2)], "segm", r"results\.json: entry 1 is of image id 2, which .*truth\.json does not list"),
        ([result(), result(category_id=3)], "segm", "entry 2, of image id 1: category id 3 is no thing of class table"),
        ([result(score="high")], "segm", "'score' is 'high', not float"),
        ([result(score=float("nan"))], "segm", "'score' is nan; give a finite number"),
        (
            [result(segmentation={"size": [8, 9], "counts": [0, 72]})],
            "segm",
            "a mask of 8 x 9 pixels in an image of 8 x 8",
        ),
        (
            [result(segmentation={"size": [8, 8], "counts": [0, 65]})],
            "segm",
            "run lengths do not add up to 8 x 8 pixels",
        ),
        ([result(segmentation=None)], "segm", "'segmentation' is a NoneType"),
        ([result(bbox=[1, 2, 3])], "bbox", r"'bbox' is \[1, 2, 3\]; give left, top, width and height"),
        ([result(bbox=[1, 2, -3, 4])], "bbox", "width and height may not be negative"),
        ([3], "segm", "entry 1 of its list is no object"),
        ({"annotations": []}, "segm", "holds no list of objects; give COCO's results"),
    ],
)
def test_bad_results_are_one_clear_error(results: Any, kind: Kind, message: str, truth: Path) -> None:
    with pytest.raises(ValueError, match=message):
        scores(truth, results, kind)


@pytest.mark.parametrize("cut", [1, 20])
def test_results_that_end_early_are_named(cut: int, truth: Path, tmp_path: Path) -> None:
    (tmp_path / "short.json").write_text(json.dumps([result(), result()])[:-cut])
    with pytest.raises(ValueError, match=r"short\.json: is truncated or corrupt"):
        scores(truth, tmp_path / "short.json")


def test_official_fake_results_of_a_hundred_photos_score_as_pycocotools_printed(real_data: Path) -> None:
    """Of masks and of boxes: AP over the ten thresholds, and AP50."""
    folder = real_data / "metric_oracles" / "ap_cocoapi_val2014_fake100"
    split = find_split("coco-instances-65-15")
    printed = (folder / "val2014_fake_eval_res.txt").read_text()
    official = [float(value) for value in re.findall(r"= (-?[0-9.]+)\s*$", printed, re.MULTILINE)]
    truth = folder / "instances_val2014_100.json"
    listed = read_instance_truth(truth, split)
    for kind, first in (("segm", 0), ("bbox", 12)):
        path = folder / f"instances_val2014_fake{kind}100_results.json"
        found = read_instance_results(path, kind, split.classes, listed)
        tally = count_instances(listed, found, split.classes, read_true_boxes(truth) if kind == "bbox" else None)
        assert round(float(np.nanmean(average_precision(tally))), 3) == official[first]
        assert round(float(np.nanmean(tally.quality(0).average_precision)), 3) == official[first + 1]
        assert round(float(np.nanmean(tally.quality(5).average_precision)), 3) == official[first + 2]
