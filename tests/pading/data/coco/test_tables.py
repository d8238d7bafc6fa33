from dataclasses import replace
from pathlib import Path

import pytest

from pading.data.coco.tables import image_entry, new_id, wrong_categories
from pading.data.errors import OtherClassesError

FILE, PHOTOS = Path("a.json"), Path("photos")
CATEGORIES = [{"id": 187, "name": "sky", "isthing": 0}, {"id": 17, "name": "cat", "isthing": 1}]


def test_an_image_entry_has_path_and_size():
    entry = image_entry({"file_name": "1.jpg", "height": 2, "width": 3, "url": ""}, 1, PHOTOS, FILE)
    assert (entry.path, entry.file_name, entry.height, entry.width) == (PHOTOS / "1.jpg", "1.jpg", 2, 3)


def test_an_image_entry_that_leads_elsewhere_is_refused():
    with pytest.raises(ValueError, match=r"a\.json: file_name '\.\./1\.jpg' leads out of photos/"):
        image_entry({"file_name": "../1.jpg", "height": 2, "width": 3}, 1, PHOTOS, FILE)


def test_an_id_is_new_or_refused():
    assert new_id({"id": 3}, "id", "images", {1, 2}, FILE) == 3
    with pytest.raises(ValueError, match=r"a\.json: image id 3 occurs twice in 'images'; keep one"):
        new_id({"id": 3}, "id", "images", {3}, FILE)
    with pytest.raises(ValueError, match=r"a\.json: annotation id 3 occurs twice in 'annotations'; keep one"):
        new_id({"id": 3}, "id", "annotations", {3}, FILE)
    with pytest.raises(ValueError, match=r"a\.json: an entry of 'images': 'id' is None, not int"):
        new_id({}, "id", "images", set(), FILE)


def test_categories_in_any_order_and_part_of_the_table_are_right(classes):
    assert list(wrong_categories(CATEGORIES, classes, True, FILE)) == []


def test_each_category_of_another_name_or_kind_is_wrong(classes):
    categories = [{"id": 187, "name": "sky", "isthing": 1}, {"id": 17, "name": "dog", "isthing": 1}]
    assert [str(error) for error in wrong_categories(categories, classes, True, FILE)] == [
        "a.json: category id 17 is 'dog', a thing, but 'cat', a thing in class table 'toy'; "
        "use the class table of this data set",
        "a.json: category id 187 is 'sky', a thing, but 'sky', stuff in class table 'toy'; "
        "use the class table of this data set",
    ]


def test_files_of_things_alone_say_nothing_of_kinds(classes):
    assert list(wrong_categories([{"id": 17, "name": "cat"}], classes, False, FILE)) == []
    assert len(list(wrong_categories([{"id": 17, "name": "cats"}], classes, False, FILE))) == 1


def test_names_that_differ_in_the_middle_alone_are_wrong(classes):
    long = replace(classes, names=("x" * 20 + "a" + "x" * 20, "dog", "sky"))
    (error,) = wrong_categories([{"id": 17, "name": "x" * 20 + "b" + "x" * 20}], long, False, FILE)
    assert isinstance(error, OtherClassesError)  # no choice of images can mend this


def test_categories_without_an_id_of_their_own_are_wrong(classes):
    categories = [*CATEGORIES, CATEGORIES[0], {"id": [17], "name": "cat"}, {}]
    messages = [error.what for error in wrong_categories(categories, classes, True, FILE)]
    assert messages == [
        "category id 187 occurs twice in 'categories'",
        "an entry of 'categories': 'id' is [17], not int",
        "an entry of 'categories': 'id' is None, not int",
    ]
