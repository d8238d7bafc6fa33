import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pading.data.errors import DataError
from pading.splits.published import SPLIT_NAMES, find_published, find_split
from pading.splits.split import Split

CAT = {"name": "cat", "id": 1, "isthing": 1, "seen": True}
SKY = {"name": "sky", "id": 7, "isthing": False, "seen": 0}
LISTED = {"name": "mine", "task": "semantic", "classes": [CAT, SKY]}
BASED = {"name": "mine", "base": "coco-panoptic-119-14", "unseen": ["cat", "snow"]}


def split_of(tmp_path: Path, content: Any, name: str = "split.json") -> Split:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return find_split(str(path))


def test_other_unseen_classes_of_a_base_keep_its_classes_and_folders_but_not_its_counts(tmp_path: Path):
    base = find_split("coco-instances-48-17")
    split = split_of(tmp_path, {"name": "mine", "base": base.name, "unseen": ["zebra", "person"]})
    assert (split.name, split.task, split.classes.name) == ("mine", "instance", "mine")
    assert (split.classes.names, split.classes.coco_ids) == (base.classes.names, base.classes.coco_ids)
    assert [split.classes.names[index] for index in split.classes.unseen] == ["person", "zebra"]
    assert (split.train, split.val, split.expected) == ("train2014", "val2014", ())


def test_the_text_form_says_the_same_as_the_json_form(tmp_path: Path):
    text = "# my split\n\nbase: coco-panoptic-119-14  # 133 classes\ncat\n  snow # stuff\n"
    assert split_of(tmp_path, text, "mine.txt") == split_of(tmp_path, BASED)


def test_an_instance_task_on_a_panoptic_base_leaves_stuff_out(tmp_path: Path):
    split = split_of(tmp_path, {**BASED, "unseen": ["cat"], "task": "instance"})
    assert (split.task, split.classes.num_classes, all(split.classes.is_thing)) == ("instance", 80, True)
    with pytest.raises(DataError, match="unseen class 'snow' is none of the 80 classes"):
        split_of(tmp_path, {**BASED, "task": "instance"})


def test_a_class_list_of_ones_own_is_a_split(tmp_path: Path):
    split = split_of(tmp_path, {**LISTED, "train": "photos", "val": "photos_val"})
    assert (split.task, split.train, split.val) == ("semantic", "photos", "photos_val")
    table = split.classes
    assert (table.names, table.coco_ids) == (("cat", "sky"), (1, 7))
    assert (table.is_thing, table.is_seen) == ((True, False), (True, False))
    assert split_of(tmp_path, LISTED).train == "train2017"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"split\.json: is not JSON"),
        ("[" * 100_000, r"split\.json: is not JSON"),
        ("[]", "holds a list"),
        ("{}", "no field classes, name, task; the fields are"),
        ({**BASED, "name": " "}, "field 'name' is ' ', not a printable text"),
        ({**BASED, "name": "coco-stuff-156-15"}, "'coco-stuff-156-15' belongs to a published split"),
        ({**BASED, "base": "coco-panoptic"}, "no split 'coco-panoptic' .*did you mean 'coco-panoptic-119-14'"),
        ({**BASED, "seen": []}, r"unknown field seen; the fields are base, name, unseen, task \(optional\)"),
        ({**BASED, "unseen": "cat"}, "field 'unseen' is not a list"),
        ({**BASED, "unseen": [17]}, "field 'unseen' is not a list of class names"),
        ({**BASED, "unseen": ["cat", "girafe", "x"]}, r"'girafe' \(and 1 more\) is none of the 133 .*names: giraffe"),
        ({**BASED, "unseen": ["cat", "cat"]}, "unseen class 'cat' is listed 2 times"),
        ({**BASED, "unseen": []}, "no class is unseen"),
        ({**BASED, "unseen": list(find_published("coco-panoptic-119-14").classes.names)}, "every class is unseen"),
        ({**BASED, "task": "depth"}, "task 'depth' is none of panoptic, semantic, instance"),
        ({**LISTED, "classes": {}}, "field 'classes' is not a list of classes"),
        ({**LISTED, "classes": []}, "field 'classes' is not a list of classes"),
        ({**LISTED, "classes": [1]}, r"classes\[0\] is not an object"),
        ({**LISTED, "classes": [CAT, {"name": "sky"}]}, r"classes\[1\]: no field id, isthing, seen"),
        ({**LISTED, "classes": [CAT, {**SKY, "id": 1}]}, "id 1 is listed 2 times"),
        ({**LISTED, "classes": [CAT, {**SKY, "id": True}]}, "class 'sky': id True is not a number from 1"),
        ({**LISTED, "classes": [CAT, {**SKY, "id": 0}]}, "class 'sky': id 0 is not a number from 1 to"),
        ({**LISTED, "classes": [CAT, {**SKY, "id": 2**40}]}, "class 'sky': id 1099511627776 is not a number"),
        ({**LISTED, "classes": [CAT, {**SKY, "name": "cat"}]}, "class 'cat' is listed 2 times"),
        ({**LISTED, "classes": [CAT, {**SKY, "name": 5}]}, r"classes\[1\]: field 'name' is 5, not a printable text"),
        ({**LISTED, "classes": [CAT, {**SKY, "seen": "no"}]}, "class 'sky': seen 'no' is neither true nor false"),
        ({**LISTED, "classes": [CAT, {**SKY, "isthing": 2}]}, "class 'sky': isthing 2 is neither true nor false"),
        ({**LISTED, "classes": [CAT, {**SKY, "name": "\ud800"}]}, "not a printable text"),
        ({**BASED, "name": "two\nlines"}, "not a printable text"),
        ({**LISTED, "classes": [CAT]}, "no class is unseen"),
        ({**LISTED, "task": "instance"}, "stuff such as 'sky' has no instances"),
        ({**LISTED, "train": "/etc"}, "'/etc' is not a folder name"),
    ],
)
def test_a_file_that_is_no_split_is_refused_by_name_and_cause(tmp_path: Path, content: Any, message: str):
    with pytest.raises(DataError, match=message) as caught:
        split_of(tmp_path, content)
    assert str(tmp_path / "split.json") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("# nothing\n", "is empty"), ("cat\ndog\n", "starts with 'cat'; let its first line be 'base: ")],
)
def test_a_text_file_without_a_base_is_refused(tmp_path: Path, content: str, message: str):
    with pytest.raises(DataError, match=rf"mine\.txt: {message}"):
        split_of(tmp_path, content, "mine.txt")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    (tmp_path / "mine.txt").write_bytes(b"base: \xff\xfe")
    with pytest.raises(DataError, match=r"mine\.txt: is not UTF-8"):
        find_split(str(tmp_path / "mine.txt"))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ("name", "task", "classes", "base", "unseen", "train")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from((BASED, LISTED)), st.sampled_from(FIELDS), JSON_VALUES)
def test_whatever_a_field_holds_the_answer_is_a_split_or_a_data_error(
    tmp_path: Path, good: dict, field: str, value: Any
):
    try:
        split = split_of(tmp_path, {**good, field: value})
    except DataError:
        return
    assert split.name not in SPLIT_NAMES
    assert split.classes.seen
    assert split.classes.unseen
