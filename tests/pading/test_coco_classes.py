import json

from pading.coco_classes import coco_panoptic_119_14


def test_the_split_has_133_classes_of_which_14_are_unseen():
    classes = coco_panoptic_119_14()
    assert classes.num_classes == 133
    assert (len(classes.seen), len(classes.unseen)) == (119, 14)
    assert sum(classes.is_thing) == 80
    assert sum(classes.is_thing[index] for index in classes.unseen) == 7


def test_unseen_classes_are_the_published_positions():
    expected = (19, 23, 28, 29, 36, 51, 76, 83, 97, 99, 100, 116, 119, 125)
    assert coco_panoptic_119_14().unseen == expected


def test_things_come_first_and_ids_ascend():
    classes = coco_panoptic_119_14()
    assert classes.is_thing == (True,) * 80 + (False,) * 53
    assert list(classes.coco_ids) == sorted(classes.coco_ids)


def test_names_ids_and_thing_flags_equal_the_official_categories(real_data):
    classes = coco_panoptic_119_14()
    categories = json.loads((real_data / "metadata" / "panoptic_coco_categories.json").read_text())
    assert list(classes.names) == [category["name"] for category in categories]
    assert list(classes.coco_ids) == [category["id"] for category in categories]
    assert list(classes.is_thing) == [bool(category["isthing"]) for category in categories]


def test_unseen_names_equal_the_published_list(real_data):
    classes = coco_panoptic_119_14()
    published = json.loads((real_data / "metadata" / "pading_panoptic_unseen14.json").read_text())
    assert {classes.names[index] for index in classes.unseen} == set(published)
