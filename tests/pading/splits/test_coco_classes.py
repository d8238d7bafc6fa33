import json

import numpy as np
import pytest

from pading.classes import ClassTable
from pading.splits.coco_classes import (
    ABSENT_PNG_VALUES,
    coco_instances_48_17,
    coco_instances_65_15,
    coco_panoptic_119_14,
    coco_stuff_156_15,
)


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


def test_coco_stuff_has_171_classes_whose_index_is_the_train_id():
    classes = coco_stuff_156_15()
    assert (classes.num_classes, sum(classes.is_thing)) == (171, 80)
    assert (classes.seen, classes.unseen) == (tuple(range(156)), tuple(range(156, 171)))
    for side in (classes.seen, classes.unseen):
        ids = [classes.coco_ids[index] for index in side]
        assert ids == sorted(ids)
    assert [classes.index(png + 1) for png in (0, 12, 21, 91, 181, 20, 123, 171)] == [0, 11, 19, 73, 155, 156, 165, 170]


def test_eleven_values_of_a_stuff_thing_map_belong_to_no_class():
    values = {coco_id - 1 for coco_id in coco_stuff_156_15().coco_ids}
    assert sorted(set(range(182)) - values) == list(ABSENT_PNG_VALUES)
    assert len(ABSENT_PNG_VALUES) == 11


def test_coco_stuff_names_are_the_published_ones(real_data):
    classes = coco_stuff_156_15()
    lines = (real_data / "metadata" / "cocostuff_labels.txt").read_text().splitlines()
    labels = {int(number): name for number, name in (line.split(": ") for line in lines)}
    assert list(classes.names) == [labels[coco_id] for coco_id in classes.coco_ids]
    assert classes.is_thing == tuple(coco_id <= 90 for coco_id in classes.coco_ids)
    by_id = [name for _, name in sorted(zip(classes.coco_ids, classes.names, strict=True))]
    assert by_id == json.loads((real_data / "text_embeddings" / "names_cocostuff171.json").read_text())
    absent = set(labels) - set(classes.coco_ids) - {0}
    assert absent == {value + 1 for value in ABSENT_PNG_VALUES}


def test_coco_stuff_seen_classes_are_spnets_without_absent_ids_plus_its_validation_classes(real_data):
    files = real_data / "word_vectors" / "spnet_split"
    seen, validation, novel = (
        np.load(files / f"{name}_cls.npy", allow_pickle=False).tolist() for name in ("seen", "val", "novel")
    )
    classes = coco_stuff_156_15()
    sides = [{classes.coco_ids[index] - 1 for index in side} for side in (classes.seen, classes.unseen)]
    assert sides == [set(seen) - set(ABSENT_PNG_VALUES) | set(validation), set(novel)]
    assert (len(seen), len(ABSENT_PNG_VALUES), len(validation)) == (155, 11, 12)


def test_panoptic_and_coco_stuff_agree_on_what_is_unseen():
    panoptic, stuff = coco_panoptic_119_14(), coco_stuff_156_15()
    unseen = [{table.names[index].removesuffix("-merged") for index in table.unseen} for table in (panoptic, stuff)]
    assert unseen[0] - unseen[1] == {"sky-other"}  # clouds are part of the merged sky
    assert unseen[1] - unseen[0] == {"clouds", "wall-concrete"}


@pytest.mark.parametrize(
    ("classes", "num_seen", "num_unseen"), [(coco_instances_48_17(), 48, 17), (coco_instances_65_15(), 65, 15)]
)
def test_instance_classes_are_things_seen_before_unseen(classes: ClassTable, num_seen: int, num_unseen: int):
    assert all(classes.is_thing)
    assert classes.is_seen == (True,) * num_seen + (False,) * num_unseen
    assert len(set(classes.names)) == num_seen + num_unseen


@pytest.mark.parametrize("classes", [coco_instances_48_17(), coco_instances_65_15()], ids=lambda table: table.name)
def test_instance_classes_stand_in_zsis_order(classes: ClassTable, real_data):
    suffix = classes.name.removeprefix("coco-instances-").replace("-", "_")
    order = json.loads((real_data / "word_vectors" / f"pading_{suffix}_class_order.json").read_text())
    listed = order["COCO_ZSI_TRAIN_CATEGORIES"] + order["COCO_ZSI_TEST_CATEGORIES_UNSEEN"]
    assert [[str(coco_id), name] for coco_id, name in zip(classes.coco_ids, classes.names, strict=True)] == listed
    assert len(order["COCO_ZSI_TEST_CATEGORIES_UNSEEN"]) == len(classes.unseen)
