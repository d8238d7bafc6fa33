import pytest

from pading.data.annotations import scan_panoptic
from pading.data.errors import DataError
from pading.data.layout import find_panoptic


def scan(folder, classes):
    return list(scan_panoptic(find_panoptic(folder.root, "train2017"), classes))


def first_segment(document):
    return document["annotations"][0]["segments_info"][0]


DAMAGES = {
    "image id 1 occurs twice in 'images'; keep one": lambda d: d["images"].append(d["images"][0]),
    "image id 1 occurs twice in 'annotations'; keep one": lambda d: d["annotations"].append(d["annotations"][0]),
    "an entry of 'images' has id '1'; give an integer": lambda d: d["images"].append({"id": "1"}),
    "an entry of 'annotations' has image_id None; give": lambda d: d["annotations"].append({"file_name": "a.png"}),
    "image id 7 has no annotation; add it or remove": lambda d: d["images"].append({"id": 7}),
    "an annotation is of image id 7, which is not listed": lambda d: d["annotations"].append({"image_id": 7}),
    "image id 1: 'file_name' is None, not str": lambda d: d["images"][0].pop("file_name"),
    "image id 1: 'height' is '6', not int": lambda d: d["images"][0].update(height="6"),
    "image id 1: size is 6 x 0; give the size": lambda d: d["images"][0].update(width=0),
    "image id 1: 'segments_info' is None, not list": lambda d: d["annotations"][0].pop("segments_info"),
    "image id 1: 'iscrowd' is None, not int": lambda d: first_segment(d).pop("iscrowd"),
    "image id 1: segment 300 has iscrowd 2; use 0 or 1": lambda d: first_segment(d).update(iscrowd=2),
    "image id 1: segment id 0; use ids from 1": lambda d: first_segment(d).update(id=0),
    "image id 1: segment id 16777216; use ids from 1": lambda d: first_segment(d).update(id=256**3),
    "image id 1: a segment id occurs twice": lambda d: first_segment(d).update(id=70_000),
    "image id 1: category id 99 is not in class table 'toy'": lambda d: first_segment(d).update(category_id=99),
    "file_name '../x.jpg' leads out of train2017/": lambda d: d["images"][0].update(file_name="../x.jpg"),
    "file_name '/x.png' leads out of panoptic_train2017/": lambda d: d["annotations"][0].update(file_name="/x.png"),
    "category id 17 is (name, is thing) = ('cow', True), but": lambda d: d["categories"][0].update(name="cow"),
    "category id 187 is (name, is thing) = ('sky', True), but": lambda d: d["categories"][2].update(isthing=1),
}


def test_a_sound_file_yields_records_alone(folder, classes):
    assert [record.image_id for record in scan(folder, classes)] == [1, 2, 3]


@pytest.mark.parametrize("expected", DAMAGES)
def test_each_damage_is_one_error_that_names_the_file(folder, classes, expected):
    folder.edit(DAMAGES[expected])
    errors = [item for item in scan(folder, classes) if isinstance(item, DataError)]
    assert len(errors) == 1
    assert str(errors[0]).startswith(f"{folder.annotations()}: {expected}")


def test_a_wrong_image_does_not_hide_the_others(folder, classes):
    folder.edit(lambda document: first_segment(document).update(category_id=99))
    items = scan(folder, classes)
    assert [isinstance(item, DataError) for item in items] == [True, False, False]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"images": [', "is truncated or corrupt"),
        ("[]", "has no list of objects 'images'"),
        ('{"images": []}', "has no list of objects 'annotations'"),
        ('{"images": [], "annotations": [3], "categories": []}', "has no list of objects 'annotations'"),
        ("\udcff", "is truncated or corrupt"),
    ],
)
def test_a_file_that_cannot_be_scanned_is_refused(folder, classes, content, expected):
    folder.annotations().write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=rf"panoptic_train2017\.json: {expected}"):
        scan(folder, classes)
