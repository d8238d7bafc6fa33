"""Supplied text embeddings: from files and a class table to one unit row per class.

.npz   this project's own: names in the table's order
.npy   a bare matrix: rows picked by name from a list of names, or without one in the table's order
.txt   word vectors, one word a line or one class a column, see `word_vectors.py`; .vec and .csv likewise
Several files stand side by side as columns. Axes: K classes, E text width, N rows of a file.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from pading.classes import ClassTable
from pading.data.errors import DataError, MissingFileError
from pading.text.embeddings import TextEmbeddings, unit_rows
from pading.text.names import pick_by_name, read_names
from pading.text.word_vectors import columns_in_order, is_number_matrix, read_columns, read_word_vectors

SUFFIXES = (".npz", ".npy", ".txt", ".vec", ".csv")


def split_paths(files: str) -> list[Path]:
    """Return the paths in a setting that joins them by ","."""
    return [Path(part.strip()) for part in files.split(",") if part.strip()]


def load_text_files(files: str, names: str, table: ClassTable) -> TextEmbeddings:
    """Read the text embeddings of a class table from one file, or from several that are joined by ",".

    Every file's rows are brought to unit length before they are put side by side, so that all weigh the same.

    Args:
        files: paths, joined by ",".
        names: the list of names of matrices that carry none, or one list per file joined by ","; may be empty.
        table: the classes that are wanted.

    Raises:
        MissingFileError: if a file is missing.
        ValueError: if a file is damaged, or does not hold the table's classes.
    """
    paths, lists = split_paths(files), split_paths(names)
    if not paths or len(lists) not in (0, 1, len(paths)):
        raise ValueError(
            f"{len(paths)} text embedding files ({files!r}) with {len(lists)} lists of names ({names!r}): "
            "give one list of names for all of them, or one per file"
        )
    listed = lists if len(lists) == len(paths) else [*lists, None][:1] * len(paths)
    parts = [load_for_classes(path, table, names) for path, names in zip(paths, listed, strict=True)]
    if len(parts) == 1:
        return parts[0]
    source = " + ".join(part.source for part in parts)
    return TextEmbeddings(
        names=table.names,
        templates=(),
        model=" + ".join(part.model for part in parts),
        matrix=unit_rows(np.concatenate([part.matrix for part in parts], axis=1), source),
        source=source,
        respelled=tuple(dict.fromkeys(pair for part in parts for pair in part.respelled)),
    )


def load_for_classes(path: Path, table: ClassTable, names: Path | None = None) -> TextEmbeddings:
    """Read the text embeddings of a class table from one file; the list of names is for matrices that carry none.

    Raises:
        MissingFileError: if a file is missing.
        DataError: if the file is damaged, or its rows cannot be told to be the table's classes.
        ValueError: if the names that a `.npz` carries are not the table's, or a row is zero or not finite.
    """
    if path.suffix not in SUFFIXES:
        raise DataError(str(path), "is no text embedding file", f"its name must end with one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise MissingFileError(str(path), "no such text embedding file", "check the path")
    if path.suffix == ".npz":
        return TextEmbeddings.load(path).for_classes(table, clean=True)
    if path.suffix == ".npy":
        rows, found_under = _read_matrix(path, table, names)
    elif is_number_matrix(path):
        rows, found_under = _read_class_columns(path, table, names)
    else:
        rows, found_under = read_word_vectors(path, table.names), table.names
    return TextEmbeddings(
        names=table.names,
        templates=(),
        model=path.stem,
        matrix=unit_rows(rows, str(path)),
        source=str(path),
        respelled=tuple(pair for pair in zip(table.names, found_under, strict=True) if pair[0] != pair[1]),
    )


def _read_matrix(path: Path, table: ClassTable, names: Path | None) -> tuple[Shaped[ndarray, "K E"], tuple[str, ...]]:
    try:
        with path.open("rb") as file:
            matrix = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # a damaged header raises anything, tokenize.TokenError among others
        cause = f"is pickled, cut or no array ({error})"
        raise DataError(str(path), cause, "write it again by numpy.save as plain numbers") from error
    if matrix.ndim != 2:
        raise DataError(str(path), f"has shape {matrix.shape}", "give a matrix with one row per name")
    if names is not None:
        return _rows_by_name(path, matrix, table, names, read_names(names, [len(matrix)]))
    if len(matrix) != table.num_classes:
        raise DataError(
            str(path),
            f"has {len(matrix)} rows, class table {table.name!r} has {table.num_classes}",
            "give a matrix with one row per class in the table's order, or a list of its rows' names",
        )
    return matrix, table.names


def _read_class_columns(
    path: Path, table: ClassTable, names: Path | None
) -> tuple[Shaped[ndarray, "K E"], tuple[str, ...]]:
    columns = read_columns(path)
    if names is None:
        return columns_in_order(columns, table.names, str(path)), table.names
    listed = read_names(names, [len(columns) - 1, len(columns)])
    return _rows_by_name(path, columns[len(columns) - len(listed) :], table, names, listed)  # background comes first


def _rows_by_name(
    path: Path, rows: Shaped[ndarray, "N E"], table: ClassTable, names: Path, listed: tuple[str, ...]
) -> tuple[Shaped[ndarray, "K E"], tuple[str, ...]]:
    picked = pick_by_name(listed, table.names, f"{path} with {names}")
    return rows[picked], tuple(listed[row] for row in picked)
