import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pading.classes import ClassTable
from pading.text import PROMPT_TEMPLATES, TextEmbeddings, clean_name, load_for_classes, prompts_for, unit_rows

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


def test_the_table_that_the_file_was_made_for_is_accepted(tmp_path: Path):
    embeddings_of(*NAMES).save(tmp_path / "text.npz")
    assert load_for_classes(tmp_path / "text.npz", table_of(*NAMES)).names == NAMES


def test_clean_names_match_only_when_asked(tmp_path: Path):
    embeddings_of("cat", "tree", "sky").save(tmp_path / "text.npz")
    assert load_for_classes(tmp_path / "text.npz", table_of(*NAMES), clean=True).names == NAMES
    with pytest.raises(ValueError, match="row 1: expected 'tree-merged', found 'tree'"):
        load_for_classes(tmp_path / "text.npz", table_of(*NAMES))


def test_another_order_is_refused_by_name_and_file(tmp_path: Path):
    embeddings_of("tree-merged", "cat", "sky-other-merged").save(tmp_path / "text.npz")
    with pytest.raises(ValueError, match=r"text\.npz.*2 mismatches.*row 0: expected 'cat', found 'tree-merged'"):
        load_for_classes(tmp_path / "text.npz", table_of(*NAMES))


def test_another_number_of_names_is_refused(tmp_path: Path):
    embeddings_of("cat").save(tmp_path / "text.npz")
    with pytest.raises(ValueError, match="expected the 3 names of class table 'pets', found 1"):
        load_for_classes(tmp_path / "text.npz", table_of(*NAMES))


def test_a_bare_matrix_of_the_right_height_is_accepted_and_normalised(tmp_path: Path):
    np.save(tmp_path / "bare.npy", np.array([[3, 4], [0, 2], [-1, 0]], np.float16))
    embeddings = load_for_classes(tmp_path / "bare.npy", table_of(*NAMES))
    np.testing.assert_array_equal(embeddings.matrix, np.array([[0.6, 0.8], [0, 1], [-1, 0]], np.float32))
    assert (embeddings.names, embeddings.model) == (NAMES, "bare")


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((4, 2), np.float32), r"bare\.npy has 4 rows, class table 'pets' has 3: "),
        (np.ones(3, np.float32), r"bare\.npy has shape \(3,\)"),
        (np.ones((3, 2), np.int64), r"bare\.npy: expected a floating-point matrix, found int64"),
        (np.array([[1, 0], [0, 0], [1, 1]], np.float32), r"bare\.npy: rows \[1\] are zero or not finite"),
        (np.array([[1, 0], [0, 1], [1, np.nan]], np.float32), r"bare\.npy: rows \[2\] are zero or not finite"),
    ],
)
def test_an_unusable_bare_matrix_is_refused(tmp_path: Path, matrix: np.ndarray, message: str):
    np.save(tmp_path / "bare.npy", matrix)
    with pytest.raises(ValueError, match=message):
        load_for_classes(tmp_path / "bare.npy", table_of(*NAMES))


def test_pickled_objects_are_never_loaded(tmp_path: Path):
    np.savez(tmp_path / "text.npz", names=np.array(["cat"], object), templates=[""], model="", matrix=np.ones((1, 1)))
    with pytest.raises(ValueError, match="allow_pickle=False"):
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


def test_clip_vectors_of_the_133_panoptic_classes_are_read(real_data: Path):
    folder = real_data / "text_embeddings"
    names = json.loads((real_data / "metadata" / "panoptic_coco_categories.json").read_text())
    table = table_of(*(category["name"] for category in names))
    matrix_file = folder / "derived_cocopanoptic133_clip_vitb16_from_zegclip_multi.npy"
    matrix = load_for_classes(matrix_file, table).matrix
    assert matrix.shape == (133, 512)
    assert matrix[table.names.index("cat")] @ matrix[table.names.index("dog")] > np.median(matrix @ matrix.T)
    with pytest.raises(ValueError, match="has 80 rows, class table 'pets' has 133"):
        load_for_classes(folder / "detic_coco80_clip_vitb32_a+cname.npy", table)
