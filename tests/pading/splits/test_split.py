import pytest

from pading.classes import ClassTable
from pading.splits.split import Split


def table(*, is_seen: tuple[bool, ...] = (True, False), second_is_thing: bool = True, last_id: int = 2) -> ClassTable:
    return ClassTable(
        name="toy", names=("cat", "sky"), coco_ids=(1, last_id), is_thing=(True, second_is_thing), is_seen=is_seen
    )


def test_a_part_is_read_from_its_own_folder():
    split = Split(name="toy", task="instance", classes=table(), train="train2014", val="val2014")
    assert [split.folder(part) for part in ("train", "val")] == ["train2014", "val2014"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "detection"}, "task 'detection' is none of panoptic, semantic, instance"),
        ({"classes": table(is_seen=(True, True))}, "no class is unseen"),
        ({"classes": table(is_seen=(False, False))}, "every class is unseen"),
        ({"task": "instance", "classes": table(second_is_thing=False)}, "stuff such as 'sky' has no instances"),
        ({"task": "semantic", "classes": table(last_id=256)}, "id 256 does not fit into a stuff-thing map"),
        ({"train": "../elsewhere"}, r"'\.\./elsewhere' is not a folder name"),
        ({"val": ".."}, r"'\.\.' is not a folder name"),
        ({"val": ""}, "'' is not a folder name"),
    ],
)
def test_a_split_that_means_nothing_is_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Split(**{"name": "toy", "task": "panoptic", "classes": table()} | changes)


def test_the_largest_id_of_a_stuff_thing_map_is_accepted():
    assert Split(name="toy", task="semantic", classes=table(last_id=255)).classes.coco_ids[-1] == 255
