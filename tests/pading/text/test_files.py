import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pading.classes import ClassTable
from pading.data.errors import DataError, MissingFileError
from pading.splits.coco_classes import (
    coco_instances_48_17,
    coco_instances_65_15,
    coco_panoptic_119_14,
    coco_stuff_156_15,
)
from pading.text.embeddings import TextEmbeddings, unit_rows
from pading.text.files import load_for_classes, load_text_files

NAMES = ("cat", "tree-merged", "hot dog")
MATRIX = np.array([[3, 4], [0, 2], [-1, 0]], np.float16)
UNIT = np.array([[0.6, 0.8], [0, 1], [-1, 0]], np.float32)


def table_of(*names: str) -> ClassTable:
    return ClassTable(
        name="pets",
        names=names,
        coco_ids=tuple(range(1, len(names) + 1)),
        is_thing=(True,) * len(names),
        is_seen=(True,) * len(names),
    )


def saved(path: Path, matrix: np.ndarray = MATRIX) -> Path:
    np.save(path, matrix)
    return path


def listed(path: Path, *names: str) -> Path:
    path.write_text(json.dumps(names))
    return path


def test_a_bare_matrix_of_the_right_height_is_in_the_tables_order(tmp_path: Path):
    embeddings = load_for_classes(saved(tmp_path / "bare.npy"), table_of(*NAMES))
    np.testing.assert_array_equal(embeddings.matrix, UNIT)
    assert (embeddings.names, embeddings.model, embeddings.respelled) == (NAMES, "bare", ())


def test_rows_with_names_are_picked_by_name_whatever_their_order_and_number(tmp_path: Path):
    matrix = np.concatenate([np.ones((1, 2), np.float32), MATRIX[::-1]])
    names = listed(tmp_path / "names.json", "spare", "hot dog", "tree", "cat")
    embeddings = load_for_classes(saved(tmp_path / "m.npy", matrix), table_of(*NAMES), names)
    np.testing.assert_array_equal(embeddings.matrix, UNIT)
    assert (embeddings.names, embeddings.respelled) == (NAMES, (("tree-merged", "tree"),))


def test_columns_with_names_are_picked_by_name_with_and_without_background(tmp_path: Path):
    names = listed(tmp_path / "names.json", "hot dog", "tree", "cat")
    np.savetxt(tmp_path / "plain.txt", MATRIX[::-1].T)
    np.savetxt(tmp_path / "background.csv", np.concatenate([np.ones((1, 2)), MATRIX[::-1]]).T, delimiter=",")
    for file in ("plain.txt", "background.csv"):
        embeddings = load_for_classes(tmp_path / file, table_of(*NAMES), names)
        np.testing.assert_array_equal(embeddings.matrix, UNIT)


def test_columns_without_names_are_in_the_tables_order(tmp_path: Path):
    np.savetxt(tmp_path / "zsi.txt", np.concatenate([np.ones((1, 2)), MATRIX]).T, delimiter=",")
    np.testing.assert_array_equal(load_for_classes(tmp_path / "zsi.txt", table_of(*NAMES)).matrix, UNIT)


def test_word_vectors_make_up_names_from_words(tmp_path: Path):
    (tmp_path / "w.vec").write_text("4 2\ncat 3 4\ntree 0 2\nhot -3 1\ndog 1 -1\n")
    np.testing.assert_array_equal(load_for_classes(tmp_path / "w.vec", table_of(*NAMES)).matrix, UNIT)


def test_an_archive_of_this_project_is_read_in_either_spelling(tmp_path: Path):
    for names, respelled in ((NAMES, ()), (("cat", "tree", "hot dog"), (("tree-merged", "tree"),))):
        TextEmbeddings(names=names, templates=("a {}",), model="tiny", matrix=UNIT).save(tmp_path / "text.npz")
        embeddings = load_for_classes(tmp_path / "text.npz", table_of(*NAMES))
        assert (embeddings.names, embeddings.respelled, embeddings.templates) == (NAMES, respelled, ("a {}",))


def test_several_files_stand_side_by_side_with_equal_weight(tmp_path: Path):
    small, large = saved(tmp_path / "a.npy"), saved(tmp_path / "b.npy", 50 * MATRIX[::-1].astype(np.float32))
    names = listed(tmp_path / "names.json", *NAMES[::-1])
    joined = load_text_files(f"{small}, {large}", f"{listed(tmp_path / 'a.json', *NAMES)},{names}", table_of(*NAMES))
    np.testing.assert_allclose(joined.matrix, np.concatenate([UNIT, UNIT], axis=1) / np.sqrt(2), rtol=1e-6)
    assert (joined.names, joined.model, joined.source) == (NAMES, "a + b", f"{small} + {large}")


def test_one_list_of_names_serves_several_files(tmp_path: Path):
    files = ",".join(str(saved(tmp_path / name, MATRIX[::-1])) for name in ("a.npy", "b.npy"))
    joined = load_text_files(files, str(listed(tmp_path / "n.json", "hot dog", "tree", "cat")), table_of(*NAMES))
    np.testing.assert_allclose(joined.matrix[:, 2:], UNIT / np.sqrt(2), rtol=1e-6)
    assert joined.respelled == (("tree-merged", "tree"),)


@pytest.mark.parametrize(("files", "names"), [("a.npy,b.npy,c.npy", "a.json,b.json"), (" , ", "")])
def test_lists_of_names_that_do_not_match_the_files_are_refused(files: str, names: str):
    with pytest.raises(ValueError, match="one list of names for all of them, or one per file"):
        load_text_files(files, names, table_of(*NAMES))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((4, 2), np.float32), r"bare\.npy: has 4 rows, class table 'pets' has 3"),
        (np.ones(3, np.float32), r"bare\.npy: has shape \(3,\)"),
        (np.ones((3, 2), np.int64), r"bare\.npy: expected a floating-point matrix, found int64"),
        (np.array([[1, 0], [0, 0], [1, 1]], np.float32), r"bare\.npy: rows \[1\] are zero or not finite"),
        (np.array([[1, 0], [0, 1], [1, np.nan]], np.float32), r"bare\.npy: rows \[2\] are zero or not finite"),
    ],
)
def test_an_unusable_bare_matrix_is_refused(tmp_path: Path, matrix: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        load_for_classes(saved(tmp_path / "bare.npy", matrix), table_of(*NAMES))


@pytest.mark.parametrize("fill", ["nan", "0"])
def test_columns_that_are_zero_or_not_finite_are_refused(tmp_path: Path, fill: str):
    (tmp_path / "z.txt").write_text(f"1,2,{fill}\n3,4,{fill}\n")
    with pytest.raises(ValueError, match=r"z\.txt: rows \[2\] are zero or not finite"):
        load_for_classes(tmp_path / "z.txt", table_of(*NAMES))


def test_pickled_and_cut_matrices_are_refused(tmp_path: Path):
    np.save(tmp_path / "object.npy", np.array([{"a": 1}], object), allow_pickle=True)
    whole = saved(tmp_path / "bare.npy").read_bytes()
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "head.npy").write_bytes(whole[:20])
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    huge = whole.replace(b"(3, 2), }" + b" " * 9, b"(9999999999999, 2)")
    assert huge != whole
    (tmp_path / "huge.npy").write_bytes(huge)
    for name in ("object", "empty", "head", "cut", "huge"):
        with pytest.raises(DataError, match=rf"{name}\.npy: is pickled, cut or no array"):
            load_for_classes(tmp_path / f"{name}.npy", table_of(*NAMES))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(("text.npz", "bare.npy")), st.integers(0, 10_000), st.integers(1, 255))
def test_one_damaged_byte_is_answered_by_rows_of_unit_length_or_an_error(
    tmp_path: Path, name: str, position: int, change: int
):
    if name == "text.npz":
        TextEmbeddings(names=NAMES, templates=(), model="tiny", matrix=UNIT).save(tmp_path / name)
    else:
        saved(tmp_path / name)
    content = bytearray((tmp_path / name).read_bytes())
    content[position % len(content)] ^= change
    (tmp_path / name).write_bytes(content)
    try:
        lengths = np.linalg.norm(load_for_classes(tmp_path / name, table_of(*NAMES)).matrix, axis=1)
    except ValueError as error:
        lengths, refusal = np.ones(3), str(error)
    else:
        refusal = name
    assert name in refusal
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_missing_files_and_unknown_formats_are_named(tmp_path: Path):
    with pytest.raises(MissingFileError, match=r"none\.npy: no such text embedding file"):
        load_for_classes(tmp_path / "none.npy", table_of(*NAMES))
    with pytest.raises(DataError, match=r"w\.bin: is no text embedding file; its name must end with one of \.npz"):
        load_for_classes(tmp_path / "w.bin", table_of(*NAMES))
    with pytest.raises(MissingFileError, match=r"none\.json: no such list of names"):
        load_for_classes(saved(tmp_path / "bare.npy"), table_of(*NAMES), tmp_path / "none.json")


def test_zsis_word_vectors_of_48_17_are_spnets_row_by_row(real_data: Path):
    folder = real_data / "word_vectors"
    zsi = load_for_classes(folder / "pading_word_w2v_withbg_48_17.txt", coco_instances_48_17())
    spnet = load_for_classes(
        folder / "spnet_cocostuff182_word2vec_300.npy", coco_instances_48_17(), folder / "names_cocostuff182.json"
    )
    cosines = (zsi.matrix * spnet.matrix).sum(axis=1)
    assert cosines.shape == (65,)
    np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_zsis_word_vectors_of_65_15_differ_from_spnets_in_eleven_names_of_two_words(real_data: Path):
    folder, table = real_data / "word_vectors", coco_instances_65_15()
    names = folder / "names_cocostuff182.json"
    zsi = load_for_classes(folder / "pading_word_w2v_withbg_65_15.txt", table)
    spnet = load_for_classes(folder / "spnet_cocostuff182_word2vec_300.npy", table, names)
    cosines = (zsi.matrix * spnet.matrix).sum(axis=1)
    others = {name for name, cosine in zip(table.names, cosines, strict=True) if abs(cosine - 1) > 1e-6}
    assert others == {
        *("fire hydrant", "stop sign", "sports ball", "baseball bat", "baseball glove", "tennis racket"),
        *("wine glass", "dining table", "cell phone", "teddy bear", "hot dog"),
    }
    assert 0.4 < cosines.min() < 0.5  # "hot dog": one phrase there, the mean of two words here


def test_zsis_named_columns_equal_its_ordered_ones(real_data: Path):
    folder, table = real_data / "word_vectors", coco_instances_48_17()
    file = folder / "pading_word_w2v_withbg_48_17.txt"
    named = load_for_classes(file, table, folder / "pading_48_17_class_order.json")
    np.testing.assert_array_equal(named.matrix, load_for_classes(file, table).matrix)


def test_zsis_file_of_the_other_split_is_refused_where_the_two_part(real_data: Path):
    folder = real_data / "word_vectors"
    with pytest.raises(
        DataError, match=r"has 81 columns for 65 classes .*column 67 comes after the last .*'snowboard'"
    ):
        load_for_classes(folder / "pading_word_w2v_withbg_65_15.txt", coco_instances_48_17())
    with pytest.raises(DataError, match=r"has 66 columns for 80 .*first class without a column is 'airplane'"):
        load_for_classes(folder / "pading_word_w2v_withbg_48_17.txt", coco_instances_65_15())


def test_spnets_600_numbers_are_word2vec_beside_fasttext(real_data: Path):
    folder, table = real_data / "word_vectors", coco_stuff_156_15()
    files = [folder / f"spnet_cocostuff182_{kind}_300.npy" for kind in ("word2vec", "fasttext")]
    joined = load_text_files(",".join(map(str, files)), str(folder / "names_cocostuff182.json"), table)
    assert joined.matrix.shape == (171, 600)
    rows = [coco_id - 1 for coco_id in table.coco_ids]
    halves = [unit_rows(np.load(file, allow_pickle=False)[rows]) for file in files]
    np.testing.assert_allclose(joined.matrix, np.concatenate(halves, axis=1) / np.sqrt(2), atol=1e-6)


def test_clip_vectors_of_coco_stuff_serve_both_tables_by_name(real_data: Path):
    folder = real_data / "text_embeddings"
    multi, names = folder / "zegclip_cocostuff171_clip_vitb16_multi.npy", folder / "names_cocostuff171.json"
    panoptic = load_for_classes(multi, coco_panoptic_119_14(), names)
    derived = load_for_classes(
        folder / "derived_cocopanoptic133_clip_vitb16_from_zegclip_multi.npy", coco_panoptic_119_14()
    )
    np.testing.assert_allclose(panoptic.matrix, derived.matrix, rtol=2**-10)  # that file was rounded to half precision
    assert ("tree-merged", "tree") in panoptic.respelled
    stuff = load_for_classes(multi, coco_stuff_156_15(), names)
    np.testing.assert_array_equal(
        stuff.matrix[stuff.names.index("tree")], panoptic.matrix[panoptic.names.index("tree-merged")]
    )
    with pytest.raises(DataError, match="has 80 rows, class table 'coco-panoptic-119-14' has 133"):
        load_for_classes(folder / "detic_coco80_clip_vitb32_a+cname.npy", coco_panoptic_119_14())
