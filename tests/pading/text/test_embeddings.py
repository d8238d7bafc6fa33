import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pading.classes import ClassTable
from pading.data.errors import DataError
from pading.splits.coco_classes import coco_panoptic_119_14, coco_stuff_156_15
from pading.text.embeddings import PROMPT_TEMPLATES, TextEmbeddings, clean_name, name_collisions, prompts_for, unit_rows

NAMES = ("cat", "tree-merged", "sky-other-merged")


def table_of(*names: str) -> ClassTable:
    return ClassTable(
        name="pets",
        names=names,
        coco_ids=tuple(range(1, len(names) + 1)),
        is_thing=(True,) * len(names),
        is_seen=(True,) * len(names),
    )


def embeddings_of(*names: str) -> TextEmbeddings:
    matrix = unit_rows(np.arange(1, 1 + 4 * len(names), dtype=np.float32).reshape(-1, 4))
    return TextEmbeddings(names=names, templates=("a {}",), model="tiny", matrix=matrix)


def test_a_file_gives_back_what_was_saved(tmp_path: Path):
    saved = embeddings_of("cat", "Löwe, lion")
    saved.save(tmp_path / "deep" / "text.npz")
    loaded = TextEmbeddings.load(tmp_path / "deep" / "text.npz")
    assert (loaded.names, loaded.templates, loaded.model) == (saved.names, saved.templates, saved.model)
    np.testing.assert_array_equal(loaded.matrix, saved.matrix)
    assert loaded.matrix.dtype == np.float32
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["text.npz"]


def test_an_empty_list_of_templates_survives_the_file(tmp_path: Path):
    TextEmbeddings(names=("cat",), templates=(), model="", matrix=np.ones((1, 1), np.float32)).save(tmp_path / "t.npz")
    assert TextEmbeddings.load(tmp_path / "t.npz").templates == ()


def test_equal_tables_give_equal_bytes(tmp_path: Path):
    for name in ("first.npz", "second.npz"):
        embeddings_of(*NAMES).save(tmp_path / name)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    assert len(digests) == 1


def test_the_table_that_the_rows_were_made_for_is_accepted():
    assert embeddings_of(*NAMES).for_classes(table_of(*NAMES)).names == NAMES


def test_clean_names_match_only_when_asked():
    spoken = embeddings_of("cat", "tree", "sky")
    matched = spoken.for_classes(table_of(*NAMES), clean=True)
    assert matched.names == NAMES
    assert matched.respelled == (("tree-merged", "tree"), ("sky-other-merged", "sky"))
    with pytest.raises(ValueError, match="row 1: expected 'tree-merged', found 'tree'"):
        spoken.for_classes(table_of(*NAMES))


def test_another_order_is_refused_by_name_and_file(tmp_path: Path):
    embeddings_of("tree-merged", "cat", "sky-other-merged").save(tmp_path / "text.npz")
    with pytest.raises(ValueError, match=r"text\.npz.*2 mismatches.*row 0: expected 'cat', found 'tree-merged'"):
        TextEmbeddings.load(tmp_path / "text.npz").for_classes(table_of(*NAMES))


def test_another_number_of_names_is_refused():
    with pytest.raises(ValueError, match="expected the 3 names of class table 'pets', found 1"):
        embeddings_of("cat").for_classes(table_of(*NAMES))


@pytest.mark.parametrize("kept", [0, 10, 200, -1])
def test_a_cut_file_is_refused(tmp_path: Path, kept: int):
    embeddings_of(*NAMES).save(tmp_path / "text.npz")
    whole = (tmp_path / "text.npz").read_bytes()
    (tmp_path / "text.npz").write_bytes(whole[:kept])
    with pytest.raises(DataError, match=r"text\.npz: is pickled, cut or no archive"):
        TextEmbeddings.load(tmp_path / "text.npz")


def test_pickled_objects_are_never_loaded(tmp_path: Path):
    np.savez(tmp_path / "text.npz", names=np.array(["cat"], object), templates=[""], model="", matrix=np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"text\.npz: is pickled.*allow_pickle=False"):
        TextEmbeddings.load(tmp_path / "text.npz")


def test_a_file_without_names_says_which_array_is_missing(tmp_path: Path):
    np.savez(tmp_path / "text.npz", matrix=np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"text\.npz: no array model, names, templates"):
        TextEmbeddings.load(tmp_path / "text.npz")


def test_a_table_in_memory_keeps_its_invariants():
    with pytest.raises(ValueError, match="2 names but 1 rows"):
        TextEmbeddings(names=("a", "b"), templates=(), model="", matrix=np.ones((1, 1), np.float32))
    with pytest.raises(ValueError, match="not of unit length"):
        TextEmbeddings(names=("a",), templates=(), model="", matrix=np.full((1, 1), 2, np.float32))


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float32, (3, 5), elements=st.floats(0.125, 1024, width=32)))
def test_unit_rows_have_length_one_keep_their_direction_and_are_idempotent(matrix: np.ndarray):
    rows = unit_rows(matrix)
    exact = matrix.astype(np.float64)
    np.testing.assert_allclose(rows, exact / np.linalg.norm(exact, axis=1, keepdims=True), rtol=2e-6)
    np.testing.assert_array_equal(unit_rows(rows), rows)


def test_prompts_are_every_synonym_in_every_template():
    assert prompts_for("cow, ox", ("a {}", "{}!")) == ["a cow", "cow!", "a ox", "ox!"]


def test_the_published_ensemble_has_eight_distinct_templates():
    assert len(set(PROMPT_TEMPLATES)) == 8
    assert len(prompts_for("tree-merged", PROMPT_TEMPLATES)) == 8


@pytest.mark.parametrize("templates", [(), ("a {}", "a photo")])
def test_templates_without_a_place_for_the_name_are_refused(templates: tuple[str, ...]):
    with pytest.raises(ValueError, match="for the class name"):
        prompts_for("cat", templates)


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("tree-merged", "tree"),
        ("wall-other-merged", "wall"),
        ("door-stuff", "door"),
        ("floor-wood", "floor wood"),
        ("potted plant", "potted plant"),
    ],
)
def test_clean_names_are_spoken_names(name: str, spoken: str):
    assert clean_name(name) == spoken


def test_every_synonym_is_cleaned():
    assert clean_name("wall-other-merged, door-stuff") == "wall, door"


def test_names_that_cleaning_makes_one_are_reported():
    names = ("floor-other-merged", "door", "floor-other", "cat", "door-stuff", "cat")
    assert name_collisions(names) == (("floor-other-merged", "floor-other"), ("door", "door-stuff"))


@pytest.mark.parametrize("table", [coco_panoptic_119_14(), coco_stuff_156_15()], ids=lambda table: table.name)
def test_the_published_names_stay_distinct_when_cleaned(table: ClassTable):
    assert name_collisions(table.names) == ()


def test_a_row_comes_last_and_goes_again():
    pets = embeddings_of("cat", "dog")
    row = TextEmbeddings(names=("cow",), templates=(), model="other", matrix=pets.matrix[:1])
    more = pets.with_row(row)
    assert more.names == ("cat", "dog", "cow")
    np.testing.assert_array_equal(more.matrix, pets.matrix[[0, 1, 0]])
    np.testing.assert_array_equal(more.without("cow").matrix, pets.matrix)
    assert more.without("cat").names == ("dog", "cow")
    np.testing.assert_array_equal(more.without("cat").matrix, pets.matrix[[1, 0]])


def test_a_row_of_another_width_and_a_name_without_a_row_are_refused():
    pets = embeddings_of("cat", "dog")
    wide = TextEmbeddings(names=("cow",), templates=(), model="other", matrix=np.eye(5, dtype=np.float32)[:1])
    with pytest.raises(ValueError, match=r"1 rows of width 5, the model's text embeddings are 4 wide"):
        pets.with_row(wide)
    with pytest.raises(ValueError, match="2 rows of width 4"):
        pets.with_row(pets)
    with pytest.raises(ValueError, match="no row 'cow'"):
        pets.without("cow")
