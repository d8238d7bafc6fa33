"""Word vectors as text, in the two formats of the field, and how class names are put together from words.

one word a line   "word v1 ... vD", as word2vec, fastText and GloVe write it, with or without a first line "count D"
one class a column   D lines of numbers, as ZSI writes it: background, then the seen, then the unseen classes
Axes: K classes, D width of a word vector, N columns of a file.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from pading.data.errors import DataError
from pading.text.embeddings import clean_name

MAX_LINE_BYTES = 1 << 20
_SHOWN = 5
_COUNT_DIGITS = 12
_REMEDY = "give the text format, one word and its numbers a line"


def is_number_matrix(path: Path) -> bool:
    """Return whether a text file starts with a number, as a matrix does, and not with a word or a "count D" line."""
    first = _first_line(path)
    if _header(first) is not None:
        return False
    try:
        float(first.split(maxsplit=1)[0].split(b",")[0])
    except (IndexError, ValueError):
        return False
    return True


def read_columns(path: Path) -> Float64[ndarray, "N D"]:
    """Read a matrix of D lines and return its N columns as rows.

    Raises:
        DataError: if a line is no list of numbers, is shorter than the first, or the last one is cut.
    """
    _refuse_cut_line(path)
    delimiter = "," if b"," in _first_line(path) else None
    try:
        matrix = np.loadtxt(path, delimiter=delimiter, ndmin=2, comments=None, encoding="utf-8")
    except ValueError as error:
        raise DataError(str(path), f"is no matrix of numbers ({error})", "write it again by numpy.savetxt") from error
    columns: ndarray = matrix.T
    return columns


def columns_in_order(columns: Float[ndarray, "N D"], names: Sequence[str], source: str) -> Float[ndarray, "K D"]:
    """Return the rows of classes that stand in the order of `names`, without the background's if there is one.

    Raises:
        DataError: if there is not one per class; says where classes and columns part.
    """
    spare = len(columns) - len(names)
    if spare not in (0, 1):
        parting = (
            f"column {len(names) + 2} comes after the last class, {names[-1]!r}"
            if spare > 0
            else f"the first class without a column is {names[max(len(columns) - 1, 0)]!r}"
        )
        turned = " (it looks transposed)" if columns.shape[1] in (len(names), len(names) + 1) else ""
        raise DataError(
            source,
            f"has {len(columns)} columns for {len(names)} classes and background{turned}: {parting}",
            "take the file of this split, or give the names of its columns",
        )
    return columns[spare:]


def read_word_vectors(path: Path, names: Sequence[str]) -> Float64[ndarray, "K D"]:
    """Return for each class name the mean vector of its words, from a file with one word a line.

    A word is looked up as it is spelled, then in lower case; of a word that is listed twice the first vector counts.
    The file is read line by line, whatever its size.

    Raises:
        DataError: if words are missing, or the file is damaged or cut.
    """
    words = {name: words_of(name) for name in names}
    wordless = [name for name, parts in words.items() if not parts]
    if wordless:
        raise DataError(str(path), f"class name {wordless[0]!r} has no words to look up", "rename the class")
    needed = {form for parts in words.values() for word in parts for form in (word, word.lower())}
    vectors = _vectors_of(path, {word.encode(): word for word in needed})
    spelled = {word: word if word in vectors else word.lower() for parts in words.values() for word in parts}
    missing = {word: name for name, parts in words.items() for word in parts if spelled[word] not in vectors}
    if missing:
        shown = ", ".join(f"{word!r} of {name!r}" for word, name in list(missing.items())[:_SHOWN])
        more = ", ..." if len(missing) > _SHOWN else ""
        raise DataError(
            str(path), f"lacks {len(missing)} words: {shown}{more}", "take a larger vocabulary, or a matrix with names"
        )
    return np.stack([np.mean([vectors[spelled[word]] for word in words[name]], axis=0) for name in names])


def words_of(name: str) -> list[str]:
    """Return the words of a class name and of its synonyms, without COCO's suffixes."""
    return [word for synonym in name.split(", ") for word in clean_name(synonym).split()]


def _vectors_of(path: Path, needed: dict[bytes, str]) -> dict[str, Float64[ndarray, "D"]]:
    _refuse_cut_line(path)
    header = _header(_first_line(path))
    width = header[1] if header else len(_first_line(path).split()) - 1
    vectors: dict[str, ndarray] = {}
    if width < 1:
        raise DataError(str(path), "its first line is no word with numbers", _REMEDY)
    num_lines = 0
    with path.open("rb") as file:
        if header:
            file.readline(MAX_LINE_BYTES)
        while line := file.readline(MAX_LINE_BYTES):
            num_lines += 1
            if not line.endswith(b"\n"):
                raise DataError(str(path), f"line {num_lines} has more than {MAX_LINE_BYTES} bytes", _REMEDY)
            word = needed.get(line[: line.find(b" ")])
            if word is None or word in vectors:
                continue
            values = line.split()[1:]
            if len(values) <= width:  # more are a phrase with spaces, which only starts with the word
                vectors[word] = _parsed(path, word, values, width)
    if header and num_lines < header[0]:
        raise DataError(str(path), f"ends after {num_lines} of {header[0]} words", "it is cut; fetch it again")
    return vectors


def _parsed(path: Path, word: str, values: list[bytes], width: int) -> Float64[ndarray, "D"]:
    try:
        vector = np.array([float(value) for value in values])
    except ValueError as error:
        raise DataError(str(path), f"the vector of {word!r} is not numeric ({error})", _REMEDY) from error
    if len(vector) != width or not np.isfinite(vector).all():
        raise DataError(str(path), f"the vector of {word!r} has not {width} finite numbers", _REMEDY)
    return vector


def _header(line: bytes) -> tuple[int, int] | None:
    """Return (count, width) of a word vector file's first line, if it is one."""
    parts = line.split()
    if len(parts) != 2 or not all(part.isdigit() and len(part) <= _COUNT_DIGITS for part in parts):
        return None
    return int(parts[0]), int(parts[1])


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline(MAX_LINE_BYTES)


def _refuse_cut_line(path: Path) -> None:
    """Refuse a file that does not end with a line end: its last number may have lost digits."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        if file.read(1) != b"\n":
            what = "ends in the middle of a line" if end else "is empty"
            raise DataError(str(path), what, "fetch it again; if it is whole, end its last line")
