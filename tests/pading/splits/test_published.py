from pathlib import Path

import pytest

from pading.data.errors import MissingFileError
from pading.splits.published import SPLIT_NAMES, find_published, find_split


@pytest.mark.parametrize(
    ("name", "task", "num_seen", "num_unseen", "folders"),
    [
        ("coco-panoptic-119-14", "panoptic", 119, 14, ("train2017", "val2017")),
        ("coco-stuff-156-15", "semantic", 156, 15, ("train2017", "val2017")),
        ("coco-instances-48-17", "instance", 48, 17, ("train2014", "val2014")),
        ("coco-instances-65-15", "instance", 65, 15, ("train2014", "val2014")),
        ("shapes-panoptic", "panoptic", 26, 7, ("train2017", "val2017")),
        ("shapes-semantic", "semantic", 26, 7, ("train2017", "val2017")),
        ("shapes-instances", "instance", 19, 5, ("train2017", "val2017")),
    ],
)
def test_a_published_split_is_found_by_name(name: str, task: str, num_seen: int, num_unseen: int, folders: tuple):
    split = find_split(name)
    assert (split.name, split.task) == (name, task)
    assert (len(split.classes.seen), len(split.classes.unseen)) == (num_seen, num_unseen)
    assert (split.folder("train"), split.folder("val")) == folders


def test_every_name_is_a_split_of_that_name():
    assert [find_published(name).name for name in SPLIT_NAMES] == list(SPLIT_NAMES)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("coco-panoptic-119-14", [118_287, 45_617, 5_000, 5_000]),
        ("coco-stuff-156-15", [118_287, 118_287, 5_000, 5_000]),
        ("coco-instances-48-17", [82_783, 73_774, 40_504, 2_729]),
        ("coco-instances-65-15", [82_783, 62_300, 40_504, 10_098]),
    ],
)
def test_published_counts_come_with_their_sources(name: str, counts: list[int]):
    split = find_split(name)
    found = {(expected.part, expected.what): expected.count for expected in split.expected}
    assert [found[part, what] for part in ("train", "val") for what in ("images", "kept")] == counts
    assert len(split.expected) == 4
    assert all(expected.source for expected in split.expected)


def test_unverified_counts_say_so():
    kept = [expected for expected in find_split("coco-instances-48-17").expected if expected.what == "kept"]
    assert {expected.source for expected in kept} == {"reported by ZSI, not verified"}


def test_an_unknown_name_is_answered_with_the_nearest_and_all_names():
    with pytest.raises(
        ValueError, match=r"'coco-stuf-156-15' \(did you mean 'coco-stuff-156-15'\?\).*shapes-instances"
    ):
        find_split("coco-stuf-156-15")
    with pytest.raises(ValueError, match=r"no split 'xyz'; the splits are coco-panoptic-119-14, "):
        find_split("xyz")


def test_a_path_is_read_as_ones_own_split(tmp_path: Path):
    path = tmp_path / "mine.txt"
    path.write_text("base: coco-panoptic-119-14\ncat\n")
    assert find_split(str(path)).name == "mine"
    with pytest.raises(MissingFileError, match=r"none\.json: no such split file"):
        find_split(str(tmp_path / "none.json"))
