import math
from pathlib import Path

import pytest

from pading.data.coco.fields import entries, flag, image_size, integer, number, text

FILE = Path("a.json")


def read(field, value):
    return field({"key": value}, "key", "image id 1", FILE)


def test_sound_fields_are_returned():
    assert read(integer, -(2**63) + 1) == -(2**63) + 1
    assert read(number, 3) == 3.0
    assert read(number, -0.5) == -0.5
    assert read(text, "") == ""
    assert read(entries, [None]) == [None]
    assert [read(flag, value) for value in (0, 1)] == [False, True]
    assert image_size({"height": 2, "width": 3}, "image id 1", FILE) == (2, 3)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (integer, None, "'key' is None, not int; give what COCO's format asks for"),
        (integer, True, "'key' is True, not int"),
        (integer, 1.0, "'key' is 1.0, not int"),
        (integer, 2**63, "'key' has 19 digits; use 64-bit integers"),
        (number, "1", "'key' is '1', not float"),
        (number, False, "'key' is False, not float"),
        (number, math.nan, "'key' is nan; give a finite number"),
        (number, -math.inf, "'key' is -inf; give a finite number"),
        (number, 10**400, "'key' is 1000"),
        (text, 3, "'key' is 3, not str"),
        (entries, "ab", "'key' is 'ab', not list"),
        (flag, 2, "'key' is 2; use 0 or 1"),
        (flag, True, "'key' is True, not int"),
        (text, [["x" * 999] * 999] * 999, r"'key' is \[\['xxx"),
    ],
)
def test_wrong_fields_are_refused_in_one_short_line(field, value, expected):
    with pytest.raises(ValueError, match=rf"^a\.json: image id 1: {expected}") as error:
        read(field, value)
    assert len(str(error.value)) < 200


def test_an_entry_that_is_no_object_has_no_field():
    with pytest.raises(ValueError, match="'key' is None, not int"):
        integer([1], "key", "image id 1", FILE)


@pytest.mark.parametrize(("height", "width"), [(0, 3), (-1, 3), (2**16, 2**15)])
def test_an_impossible_image_size_is_refused(height, width):
    with pytest.raises(ValueError, match=f"image id 1: size is {height} x {width}; give the size of the photo"):
        image_size({"height": height, "width": width}, "image id 1", FILE)
