import json
from pathlib import Path
from typing import Any

import pytest

from pading.data.errors import DataError, MissingFileError
from pading.splits.coco_classes import coco_instances_65_15, coco_panoptic_119_14, coco_stuff_156_15
from pading.text.names import match_rows, pick_by_name, read_names, spoken_forms


@pytest.mark.parametrize(
    "content",
    [
        ["cat", " dog "],
        [{"id": 3, "name": "cat"}, {"name": "dog"}],
        [["17", "cat"], [18, "dog"]],
        {"seen": ["cat", "dog"], "unseen": ["cow"], "year": 2017, "other": [1, 2]},
        {"train": ["cat", "dog"], "again": ["cat", "dog"]},
    ],
)
def test_names_are_read_from_every_common_form_of_json(tmp_path: Path, content: Any):
    (tmp_path / "names.json").write_text(json.dumps(content))
    assert read_names(tmp_path / "names.json", [2]) == ("cat", "dog")


def test_names_are_read_from_lines(tmp_path: Path):
    (tmp_path / "names.txt").write_text("cat\n\nhot dog \n")
    assert read_names(tmp_path / "names.txt", [2, 3]) == ("cat", "hot dog")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('["cat"]', r"names\.json: holds no list of 2 or 3 names \(found: 1\)"),
        ('{"a": 5}', "found: no list of names at all"),
        ('["cat", ""]', "found: no list of names at all"),
        ("[1, 2]", "found: no list of names at all"),
        ('{"a": ["x", "y"], "b": ["y", "x"]}', r"two different lists of 2 or 3 names \(found: 2, 2\)"),
        ("[", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_a_file_without_one_fitting_list_is_refused(tmp_path: Path, content: str, message: str):
    (tmp_path / "names.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_names(tmp_path / "names.json", [2, 3])


def test_bytes_that_are_no_text_and_a_missing_file_are_named(tmp_path: Path):
    (tmp_path / "names.txt").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match=r"names\.txt: cannot be read"):
        read_names(tmp_path / "names.txt", [1])
    with pytest.raises(MissingFileError, match=r"none\.txt: no such list of names"):
        read_names(tmp_path / "none.txt", [1])


def test_exact_spelling_goes_before_the_spoken_one():
    names = ("tree", "tree-merged", "sky-other", "door", "door-stuff")
    assert pick_by_name(names, ("tree-merged", "tree", "sky-other-merged", "door"), "f") == [1, 0, 2, 3]
    assert pick_by_name(("wall-other", "wall"), ("wall-merged",), "f") == [1]


def test_missing_names_are_counted_shown_and_answered_with_near_ones():
    message = r"^f: 4 of 5 classes are not among its 2 names: girafe, b, c, \.\.\. \(near 'girafe': giraffe\)"
    with pytest.raises(DataError, match=message):
        pick_by_name(("cat", "giraffe"), ("cat", "girafe", "b", "c", "d"), "f")


@pytest.mark.parametrize(("names", "wanted"), [(("cat", "dog", "cat"), "cat"), (("wall-other", "wall-stuff"), "wall")])
def test_a_name_that_fits_two_rows_is_refused(names: tuple[str, ...], wanted: str):
    with pytest.raises(DataError, match=f"class '{wanted}' fits more than one row: row 0 '{names[0]}', row"):
        pick_by_name(names, (wanted,), "f")


def test_real_lists_of_names_serve_the_published_tables(real_data: Path):
    wide = read_names(real_data / "word_vectors" / "names_cocostuff182.json", [182])
    stuff = coco_stuff_156_15()
    assert pick_by_name(wide, stuff.names, "182") == [coco_id - 1 for coco_id in stuff.coco_ids]
    panoptic = coco_panoptic_119_14()
    official = real_data / "metadata" / "panoptic_coco_categories.json"
    assert read_names(official, [133]) == panoptic.names
    order = real_data / "word_vectors" / "pading_65_15_class_order.json"
    assert read_names(order, [80, 81]) == coco_instances_65_15().names


def test_merged_panoptic_names_find_their_coco_stuff_word(real_data: Path):
    wide = read_names(real_data / "text_embeddings" / "names_cocostuff171.json", [171])
    panoptic = coco_panoptic_119_14()
    found = {
        name: wide[row] for name, row in zip(panoptic.names, pick_by_name(wide, panoptic.names, "171"), strict=True)
    }
    assert len(set(found.values())) == 133
    respelled = {name: other for name, other in found.items() if name != other}
    assert len(respelled) == 17
    assert (respelled["tree-merged"], respelled["wall-other-merged"]) == ("tree", "wall-other")


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("tree-merged", {"tree"}),
        (" Wall_other_merged", {"wall"}),
        ("airplane,  Aeroplane", {"airplane", "aeroplane"}),
        ("traffic light", {"traffic light"}),
        ("traffic-light", {"traffic light"}),
        (" , ", set()),
    ],
)
def test_the_forms_of_a_name_are_free_of_spelling(name: str, forms: set[str]) -> None:
    assert spoken_forms(name) == forms


def test_rows_are_matched_by_spelling_first_and_else_by_the_only_meaning() -> None:
    names = ["door-stuff", "door", "tree", "cow, cattle", "Wall-tile", "wall tile"]
    wanted = ["door", "door-stuff", "tree-merged", "Cow", "wall-tile", "door-other", "giraffe"]
    # "wall-tile" and "door-other" could each be two rows
    assert match_rows(names, wanted) == [1, 0, 2, 3, None, None, None]
    assert match_rows(["cow", "cow"], ["cow"]) == [None]
    assert match_rows([], ["cow"]) == [None]
