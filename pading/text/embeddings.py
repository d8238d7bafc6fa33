"""Text embeddings of class names: prompts to encode, the table as a file, the check against a class table.

The tables are made by `jobs/clip.py`, or read from the user's files by `files.py`. Axes: K classes, E text width.
"""

import os
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from pading.classes import ClassTable
from pading.data.errors import DataError

# The ensemble of PADing's published code; ZegFormer's differs in spelling only.
PROMPT_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
    "A photo of a {} in the scene",
)

_BOOKKEEPING_SUFFIXES = ("-merged", "-other", "-stuff")
_SHOWN_MISMATCHES = 3
_UNIT_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class TextEmbeddings:
    """One unit row per class name, with what it was made from.

    Raises:
        ValueError: if names and rows differ in number, or a row is not finite, zero or not of unit length.
    """

    names: tuple[str, ...]
    templates: tuple[str, ...]
    model: str
    matrix: Float32[ndarray, "K E"]
    source: str = "text embeddings"
    respelled: tuple[tuple[str, str], ...] = ()  # (class, name it was found under), where these differ; not saved

    def __post_init__(self) -> None:
        if len(self.names) != len(self.matrix):
            raise ValueError(f"{self.source}: {len(self.names)} names but {len(self.matrix)} rows; write one per class")
        if not np.array_equal(unit_rows(self.matrix, self.source), self.matrix):
            raise ValueError(f"{self.source}: rows are not of unit length; pass them through unit_rows")

    def for_classes(self, table: ClassTable, *, clean: bool = False) -> "TextEmbeddings":
        """Return the embeddings for a class table after checking that they list the same names in the same order.

        With `clean`, names are compared without COCO's suffixes, and the result carries the table's own names.

        Raises:
            ValueError: if the names differ in number, spelling or order.
        """
        spelled = clean_name if clean else str
        mismatches = [
            f"row {row}: expected {expected!r}, found {found!r}"
            for row, (expected, found) in enumerate(zip(table.names, self.names, strict=False))
            if spelled(expected) != spelled(found)
        ]
        if mismatches or len(self.names) != table.num_classes:
            shown = "; ".join(mismatches[:_SHOWN_MISMATCHES]) or "the names that both have agree"
            raise ValueError(
                f"{self.source}: expected the {table.num_classes} names of class table {table.name!r}, "
                f"found {len(self.names)} with {len(mismatches)} mismatches ({shown}); "
                "make the file again from this table, or choose the table that it was made for"
            )
        respelled = tuple(pair for pair in zip(table.names, self.names, strict=True) if pair[0] != pair[1])
        return replace(self, names=table.names, respelled=self.respelled + respelled)

    def with_row(self, added: "TextEmbeddings") -> "TextEmbeddings":
        """Return the table with the one row of another after its own.

        Raises:
            ValueError: if that has not one row, or another width.
        """
        if added.matrix.shape != (1, self.matrix.shape[1]):
            raise ValueError(
                f"{added.source}: {added.matrix.shape[0]} rows of width {added.matrix.shape[1]}, the model's text "
                f"embeddings are {self.matrix.shape[1]} wide: give one row from the model that they were made with"
            )
        return replace(self, names=self.names + added.names, matrix=np.concatenate([self.matrix, added.matrix]))

    def without(self, name: str) -> "TextEmbeddings":
        """Return the table without the row of a name.

        Raises:
            ValueError: if it has none.
        """
        if name not in self.names:
            raise ValueError(f"{self.source}: no row {name!r}")
        row = self.names.index(name)
        return replace(self, names=self.names[:row] + self.names[row + 1 :], matrix=np.delete(self.matrix, row, axis=0))

    def save(self, path: Path) -> None:
        """Write the table as `.npz`; equal tables give equal bytes, and a reader never sees half a file."""
        columns = {
            "names": np.array(self.names, dtype=np.str_),
            "templates": np.array(self.templates, dtype=np.str_),
            "model": np.array(self.model, dtype=np.str_),
            "matrix": self.matrix,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        with zipfile.ZipFile(unfinished, "w") as archive:
            for key, column in columns.items():
                # np.savez would stamp the time of day into the archive.
                with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w") as member:
                    np.lib.format.write_array(member, column, allow_pickle=False)
        unfinished.replace(path)

    @staticmethod
    def load(path: Path) -> "TextEmbeddings":
        """Read a `.npz` table and bring its rows to unit length.

        Raises:
            DataError: if the file is damaged, or an array is missing.
            ValueError: if a row is zero or not finite.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                missing = sorted({"names", "templates", "model", "matrix"} - set(archive.files))
                columns = {} if missing else {key: archive[key] for key in archive.files}
        except Exception as error:  # a damaged archive or header raises anything, tokenize.TokenError among others
            cause = f"is pickled, cut or no archive of arrays ({error})"
            raise DataError(str(path), cause, "make the file again") from error
        if missing:
            what = f"no array {', '.join(missing)}"
            raise DataError(str(path), what, "a text embedding file has names and a matrix")
        return TextEmbeddings(
            names=tuple(str(name) for name in columns["names"].ravel()),
            templates=tuple(str(template) for template in columns["templates"].ravel()),
            model=str(columns["model"]),
            matrix=unit_rows(columns["matrix"], str(path)),
            source=str(path),
        )


def unit_rows(matrix: Float[ndarray, "K E"], source: str = "text embeddings") -> Float32[ndarray, "K E"]:
    """Return the rows at unit length; rows that have it already are returned bit for bit.

    Raises:
        ValueError: if the matrix is not two-dimensional, or a row is zero or not finite.
    """
    if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating):
        raise ValueError(f"{source}: expected a floating-point matrix, found {matrix.dtype} of shape {matrix.shape}")
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
    unusable = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if len(unusable):
        raise ValueError(f"{source}: rows {unusable[:5].tolist()} are zero or not finite; make the file again")
    lengths[np.abs(lengths - 1) <= _UNIT_TOLERANCE] = 1
    rows: ndarray = (matrix / lengths).astype(np.float32)
    return rows


def prompts_for(name: str, templates: tuple[str, ...]) -> list[str]:
    """Return every template filled with every synonym; ", " separates the synonyms of a name.

    Raises:
        ValueError: if there is no template, or one has no place for the name.
    """
    unusable = [template for template in templates if "{}" not in template]
    if unusable or not templates:
        raise ValueError(f"prompt templates {unusable or templates!r} have no {{}} for the class name; add one")
    return [template.format(synonym) for synonym in name.split(", ") for template in templates]


def clean_name(name: str) -> str:
    """Return a COCO class name as a person says it, without suffixes and hyphens: "wall-other-merged" is "wall"."""
    return ", ".join(_clean_synonym(synonym) for synonym in name.split(", "))


def name_collisions(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of different names that `clean_name` makes one, such as "door" and "door-stuff"."""
    groups = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[clean_name(name)].append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _clean_synonym(name: str) -> str:
    while name.endswith(_BOOKKEEPING_SUFFIXES):
        name = name.rpartition("-")[0]
    return name.replace("-", " ")
