import json

import pytest

from pading.data.checks.findings import Finding
from pading.data.checks.report import ClassCounts, Report
from pading.splits.split import Expectation


@pytest.fixture
def report(classes):
    return Report(
        root="/coco",
        split="toy",
        part="train",
        folder="train2017",
        classes=classes,
        is_deep=True,
        choices={"kept": 2, "unseen": 1},
        counts=ClassCounts(segments=(3, 0, 4), pixels=(50, 0, 60), num_crowds=1),
        expected=(Expectation(part="train", what="images", count=3, source="a paper"),),
        findings=(Finding(severity="warning", file="a.jpg", what="is odd", remedy="look"),),
    )


def test_counts_of_disjoint_images_add_up(classes):
    one, two = (ClassCounts(segments=(n, 0, 1), pixels=(9, 0, n), num_crowds=n) for n in (1, 2))
    assert one + two == ClassCounts(segments=(3, 0, 2), pixels=(18, 0, 3), num_crowds=3)
    assert one + ClassCounts.zero(classes) == one


def test_the_page_says_all(report):
    assert report.to_text().splitlines() == [
        "train of toy: train2017/ in /coco",
        "  images            3   kept 2   left out: unseen 1",
        "  segments          7   crowds 1",
        "  errors            0   warnings 1",
        "             expected     found   where from",
        "  images            3         3   a paper",
        "  warning: a.jpg: is odd; look",
        "  segments of each class in the kept images (* unseen)",
        "       3 cat                        0 dog*                       4 sky",
    ]


def test_json_holds_all(report):
    plain = json.loads(report.to_json())
    assert plain["published"] == [{"what": "images", "expected": 3, "found": 3, "source": "a paper"}]
    assert (plain["class_segments"], plain["class_pixels"]) == (
        {"cat": 3, "dog": 0, "sky": 4},
        {"cat": 50, "dog": 0, "sky": 60},
    )
    assert (plain["num_errors"], plain["num_warnings"], plain["unseen_names"]) == (0, 1, ["dog"])
    assert (plain["split"], plain["part"], plain["num_images"], plain["num_crowds"]) == ("toy", "train", 3, 1)


def test_classes_that_only_decoding_could_count_are_left_out(report):
    uncounted = type(report)(**vars(report) | {"counts": None, "is_deep": False})
    assert "class_segments" not in json.loads(uncounted.to_json())
    assert "counted by --deep" in uncounted.to_text().splitlines()[-1]
