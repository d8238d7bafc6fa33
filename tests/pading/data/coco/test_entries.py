import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.data.coco.entries import read_entries

KEYS = ("images", "annotations")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("json") / "a.json"


def entries_of(file, content):
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_entries(file, KEYS))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(), values, max_size=3)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.text(), values, max_size=3),
    st.lists(objects, max_size=3),
    st.lists(objects, max_size=3),
    st.sampled_from([None, 1]),
)
def test_entries_are_those_of_the_whole_document(file, others, images, annotations, indent):
    document = {**others, "images": images, "annotations": annotations}
    found = entries_of(file, json.dumps(document, indent=indent))
    assert repr(found) == repr([("images", entry) for entry in images] + [("annotations", e) for e in annotations])


def test_keys_may_come_in_any_order_with_any_space_and_a_byte_order_mark(file):
    content = '\ufeff {"annotations" :\r\n[\t{"a": 1} , {} ],"b":[[]] ,"images":[ ] } \n'
    assert entries_of(file, content) == [("annotations", {"a": 1}), ("annotations", {})]


def test_entries_come_before_the_rest_is_read(file):
    file.write_text('{"images": [{"id": 1}, {"id": 2}, oops')
    reader = read_entries(file, KEYS)
    assert next(reader) == ("images", {"id": 1})


SOUND = '{"images": [{}], "annotations": [{}]}'


@pytest.mark.parametrize("length", range(len(SOUND)))
def test_a_file_cut_anywhere_is_corrupt(file, length):
    with pytest.raises(ValueError, match=r"a\.json: is truncated or corrupt \(not readable as JSON: .*; download it"):
        entries_of(file, SOUND[:length])


@pytest.mark.parametrize(
    "content",
    [
        f"{SOUND} x",
        f"{SOUND}{SOUND}",
        '{"images": [{},], "annotations": []}',
        '{"images": [{} {}], "annotations": []}',
        '{"images": [], "annotations": [],}',
        '{"images" [], "annotations": []}',
        '{["images"]: [], "annotations": []}',
        '{"images": [{"id": 01}], "annotations": []}',
        '{"images": [' + "[" * 100_000,
        '{"images": [{"id": ' + "9" * 5000 + "}]}",
        b'{"images": ["\xff"]}',
        b"\x00" * 9,
    ],
)
def test_what_is_no_json_is_corrupt_in_one_line(file, content):
    with pytest.raises(ValueError, match=r"a\.json: is truncated or corrupt \(not readable as JSON: ") as error:
        entries_of(file, content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("[]", "images"),
        ("3", "images"),
        ('{"images": []}', "annotations"),
        ('{"images": [], "annotations": {}}', "annotations"),
        ('{"images": [], "annotations": [3]}', "annotations"),
        ('{"images": [], "images": [], "annotations": []}', "images"),
    ],
)
def test_each_list_is_there_once_and_holds_objects(file, content, key):
    with pytest.raises(ValueError, match=rf"a\.json: has no list of objects '{key}'; give COCO's own annotation file"):
        entries_of(file, content)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is truncated or corrupt .*Is a directory"):
        list(read_entries(tmp_path, KEYS))
