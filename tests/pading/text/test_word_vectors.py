from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pading.data.errors import DataError
from pading.text import word_vectors
from pading.text.word_vectors import columns_in_order, is_number_matrix, read_columns, read_word_vectors, words_of

LINES = ("hot 1 2", "dog 3 6", "cat 0.5 -1e-2")


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("head", [(), ("3 2",)])
def test_a_name_of_several_words_is_their_mean(tmp_path: Path, head: tuple[str, ...]):
    rows = read_word_vectors(write(tmp_path / "w.txt", *head, *LINES), ("cat", "hot dog", "dog-merged"))
    np.testing.assert_array_equal(rows, [[0.5, -0.01], [2, 4], [3, 6]])


def test_the_spelled_word_goes_before_lower_case_and_the_first_line_before_its_repetition(tmp_path: Path):
    path = write(tmp_path / "w.vec", "cat 1 1 ", "Cat 2 2 ", "cat 9 9 ", "dog 3 3 ")
    np.testing.assert_array_equal(read_word_vectors(path, ("Cat", "cat", "Dog")), [[2, 2], [1, 1], [3, 3]])


def test_a_phrase_that_starts_with_the_word_is_passed_over(tmp_path: Path):
    path = write(tmp_path / "w.txt", "the 0 1", "cat at name 5 5", "cat 1 0")
    np.testing.assert_array_equal(read_word_vectors(path, ("cat",)), [[1, 0]])


def test_words_of_a_name_drop_suffixes_and_hyphens_and_join_synonyms():
    assert words_of("wall-other-merged, floor-wood") == ["wall", "floor", "wood"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (LINES[:2], "lacks 1 words: 'cat' of 'cat'"),
        (("4 2", *LINES), "ends after 3 of 4 words"),
        (("3 3", *LINES), "the vector of 'hot' has not 3 finite numbers"),
        ((*LINES[:2], "cat 1"), "the vector of 'cat' has not 2 finite numbers"),
        ((*LINES[:2], "cat 1 nan"), "the vector of 'cat' has not 2 finite numbers"),
        ((*LINES[:2], "cat 1 x"), "the vector of 'cat' is not numeric"),
        (("hot", *LINES), "its first line is no word with numbers"),
    ],
)
def test_a_damaged_word_vector_file_is_refused(tmp_path: Path, lines: tuple[str, ...], message: str):
    with pytest.raises(DataError, match=rf"w\.txt: {message}"):
        read_word_vectors(write(tmp_path / "w.txt", *lines), ("cat", "hot dog"))


def test_a_name_without_words_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="class name '-' has no words"):
        read_word_vectors(write(tmp_path / "w.txt", *LINES), ("-",))


@pytest.mark.parametrize(
    ("content", "message"), [("", "is empty"), ("cat 1 2\ndog 3 4.", "ends in the middle of a line")]
)
def test_a_cut_file_is_refused(tmp_path: Path, content: str, message: str):
    (tmp_path / "w.txt").write_text(content)
    for read in (lambda path: read_word_vectors(path, ("cat",)), read_columns):
        with pytest.raises(DataError, match=message):
            read(tmp_path / "w.txt")


def test_a_binary_file_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(word_vectors, "MAX_LINE_BYTES", 64)
    (tmp_path / "w.txt").write_bytes(b"2 2\ncat " + b"\x01" * 100 + b"\n")
    with pytest.raises(DataError, match="line 1 has more than 64 bytes"):
        read_word_vectors(tmp_path / "w.txt", ("cat",))


@pytest.mark.parametrize(
    ("first", "is_matrix"),
    [
        ("1.5,2,3", True),
        ("-8e-4 9e-2 1", True),
        ("2 3 4", True),
        ("400000 300", False),
        ("the 0.1 0.2", False),
        (", 0.1 0.2", False),
        ("", False),
    ],
)
def test_the_first_line_tells_a_matrix_from_word_vectors(tmp_path: Path, first: str, is_matrix: bool):
    assert is_number_matrix(write(tmp_path / "w.txt", first)) == is_matrix


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays.arrays(np.float64, (4, 3), elements=st.floats(-1e6, 1e6)), st.sampled_from([" ", ",", "\t"]))
def test_what_savetxt_writes_is_read_as_rows_bit_for_bit(tmp_path: Path, matrix: np.ndarray, delimiter: str):
    np.savetxt(tmp_path / "m.txt", matrix, delimiter=delimiter)
    assert is_number_matrix(tmp_path / "m.txt")
    np.testing.assert_array_equal(read_columns(tmp_path / "m.txt"), matrix.T)


@pytest.mark.parametrize("lines", [("1,2", "3"), ("1,2", "x,4"), ("1,2", "#3,4")])
def test_a_ragged_or_wordy_matrix_is_refused(tmp_path: Path, lines: tuple[str, ...]):
    with pytest.raises(DataError, match=r"m\.txt: is no matrix of numbers"):
        read_columns(write(tmp_path / "m.txt", *lines))


def test_the_background_column_is_dropped_if_there_is_one():
    columns = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(columns_in_order(columns, ("cat", "dog"), "f"), columns[1:])
    np.testing.assert_array_equal(columns_in_order(columns, ("cat", "dog", "cow"), "f"), columns)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 9), r"has 5 columns for 3 classes and background: column 5 comes after the last class, 'cow'"),
        ((2, 9), "the first class without a column is 'dog'"),
        ((9, 4), "it looks transposed"),
    ],
)
def test_another_number_of_columns_is_refused_where_they_part(shape: tuple[int, int], message: str):
    with pytest.raises(DataError, match=message):
        columns_in_order(np.ones(shape), ("cat", "dog", "cow"), "f")
