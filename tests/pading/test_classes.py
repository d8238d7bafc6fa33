import pytest

from pading.classes import ClassTable


def table(**changes):
    columns = {
        "name": "toy",
        "names": ("cat", "sky", "dog"),
        "coco_ids": (17, 187, 18),
        "is_thing": (True, False, True),
        "is_seen": (True, True, False),
    }
    return ClassTable(**(columns | changes))


def test_a_class_is_its_position_and_no_object_comes_after_the_last():
    toy = table()
    assert [toy.index(coco_id) for coco_id in (17, 187, 18)] == [0, 1, 2]
    assert toy.num_classes == toy.no_object == 3


def test_seen_and_unseen_part_the_classes():
    toy = table()
    assert (toy.seen, toy.unseen) == ((0, 1), (2,))


def test_json_round_trip_keeps_every_column():
    assert ClassTable.from_json(table().to_json()) == table()


def test_an_unknown_coco_id_is_named_with_the_table():
    with pytest.raises(ValueError, match=r"category id 99 is not in class table 'toy' \(3 classes\)"):
        table().index(99)


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"columns differ in length: \[2, 3\]"):
        table(is_seen=(True, False))


def test_a_repeated_coco_id_is_refused():
    with pytest.raises(ValueError, match="a COCO id occurs twice"):
        table(coco_ids=(17, 187, 17))
