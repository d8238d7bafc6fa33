import json
import math
from pathlib import Path
from typing import Any

import pytest

from pading.data.errors import DataError
from pading.evaluate.board.findings import read_class_scores, read_comparisons, read_curves

LINE = {"task": "panoptic", "method": "gmmn", "profile": "best"}
CURVE = {**LINE, "seed": 0, "quality": "pq", "seen_penalty": [0, 1], "seen": [60, 0], "unseen": [30, 40], "ausuc": 20.0}
NUMBERS = {"difference": 1.5, "low": 0.5, "high": 2.5, "probability_better": 0.99, "seeds_better": 2, "num_seeds": 3}
NOTHING = {**NUMBERS, "difference": None}
PAIR = {
    "task": "panoptic",
    "quality": "pq",
    "first": {"method": "gmmn", "profile": "best"},
    "second": {"method": "wgan", "profile": "paper"},
    "seen": NUMBERS,
    "unseen": NOTHING,
    "hm": NUMBERS,
}
TABLE = {
    "classes": [
        {"name": "disc", "is_seen": True, "is_thing": True},
        {"name": "star", "is_seen": False, "is_thing": True},
    ],
    "rows": [
        {**LINE, "seed": 0, "values": {"pq": [10, None], "sq": [1, 2]}},
        {**LINE, "seed": 1, "values": {"pq": [20, None], "sq": [None, 4]}},
    ],
}


def write(folder: Path, name: str, content: Any) -> Path:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_what_was_not_measured_is_none(tmp_path: Path):
    assert read_curves(tmp_path) is read_class_scores(tmp_path) is read_comparisons(tmp_path) is None


def test_a_curve_is_the_mean_of_its_seeds(tmp_path: Path):
    other = {**CURVE, "seed": 1, "seen": [50, 10], "unseen": [20, 60], "ausuc": 30.0}
    (found,) = read_curves(write(tmp_path, "curves.json", [CURVE, other])) or ()
    assert (found.penalties, found.seen, found.unseen, found.area) == ((0, 1), (55, 5), (25, 50), 25)


def test_a_point_that_a_seed_lacks_is_left_out_and_so_is_an_area(tmp_path: Path):
    lacking = {**CURVE, "seed": 1, "seen": [None, 10], "ausuc": None}
    (found,) = read_curves(write(tmp_path, "curves.json", [CURVE, lacking])) or ()
    assert (found.penalties, found.seen, found.area) == ((1,), (5,), 20)
    (alone,) = read_curves(write(tmp_path, "curves.json", [{**CURVE, "ausuc": None}])) or ()
    assert math.isnan(alone.area)


def test_classes_are_the_mean_of_the_seeds_that_have_them(tmp_path: Path):
    found = read_class_scores(write(tmp_path, "per_class.json", TABLE))
    assert found is not None
    assert [one.name for one in found.classes] == ["disc", "star"]
    assert found.lines == {("panoptic", "gmmn", "best"): {"pq": (15, None), "sq": (1, 3)}}


def test_a_comparison_leaves_out_groups_without_a_value(tmp_path: Path):
    (found,) = read_comparisons(write(tmp_path, "comparisons.json", [PAIR])) or ()
    assert (found.first, found.second) == (("gmmn", "best"), ("wgan", "paper"))
    assert found.groups.keys() == {"seen", "hm"}
    assert found.groups["hm"].low == 0.5


@pytest.mark.parametrize(
    ("read", "name", "content", "message"),
    [
        (read_curves, "curves.json", "[", "is not JSON"),
        (read_curves, "curves.json", "null", "nothing but null"),
        (read_curves, "curves.json", {}, "a list of objects is missing"),
        (read_curves, "curves.json", [3], "a list of objects is missing"),
        (read_curves, "curves.json", [{**CURVE, "seen": [1]}], r"curve 0 has columns of \[1, 2\] points"),
        (read_curves, "curves.json", [{**CURVE, "seen": 3}], "curve 0: 'seen' is 3, expected list"),
        (read_curves, "curves.json", [{**CURVE, "seen": [1, "a"]}], "curve 0, 'seen': 'value' is 'a'"),
        (read_curves, "curves.json", [{**CURVE, "method": None}], "'method' is None, expected str"),
        (read_curves, "curves.json", [{**CURVE, "ausuc": "x"}], "'ausuc' is 'x', expected a number or null"),
        (read_curves, "curves.json", [CURVE, {**CURVE, "seed": 1, "seen_penalty": [0, 2]}], "at different penalties"),
        (read_class_scores, "per_class.json", [], "expected an object, found list"),
        (read_class_scores, "per_class.json", {**TABLE, "classes": None}, "a list of objects is missing"),
        (read_class_scores, "per_class.json", {**TABLE, "classes": TABLE["classes"][:1]}, "2 values of 'pq' for 1 cl"),
        (read_class_scores, "per_class.json", {**TABLE, "classes": [{"name": "a"}] * 2}, "'is_seen' is missing"),
        (read_comparisons, "comparisons.json", [{**PAIR, "first": "gmmn"}], "comparison 0: 'first' is 'gmmn'"),
        (
            read_comparisons,
            "comparisons.json",
            [{**PAIR, "hm": {**NUMBERS, "probability_better": 99}}],
            "is 99, not from",
        ),
        (read_comparisons, "comparisons.json", [{**PAIR, "hm": {}}], "'difference' is None, expected a number"),
        (read_comparisons, "comparisons.json", [{**PAIR, "hm": {**NUMBERS, "num_seeds": 1.5}}], "'num_seeds' is 1.5"),
    ],
)
def test_a_damaged_file_is_named_with_its_field(tmp_path: Path, read: Any, name: str, content: Any, message: str):
    with pytest.raises(DataError, match=rf"{name}: .*{message}.*; run evaluate again"):
        read(write(tmp_path, name, content))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    (tmp_path / "curves.json").write_bytes(b"\xff\xfe[")
    with pytest.raises(DataError, match="is not JSON"):
        read_curves(tmp_path)
