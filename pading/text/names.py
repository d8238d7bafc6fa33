"""Lists of names that say what the rows of a matrix are, and finding the row of a class in them."""

import difflib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pading.data.errors import DataError, MissingFileError
from pading.text.embeddings import clean_name

_SHOWN = 3


def read_names(path: Path, lengths: Sequence[int]) -> tuple[str, ...]:
    """Return the names of a matrix' rows: the lines of a text file, or the one list of a fitting length in a JSON file.

    A JSON list may hold names, objects with a "name", or [id, name] pairs, and may be the value of a key.

    Raises:
        MissingFileError: if there is no such file.
        DataError: if it is damaged, or holds no list of one of these lengths, or two different ones.
    """
    if not path.is_file():
        raise MissingFileError(str(path), "no such list of names", "check the path")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        remedy = "give a JSON list, or text with one name a line"
        raise DataError(str(path), f"cannot be read ({error})", remedy) from error
    lists = [names for names in map(_names_of, content.values() if isinstance(content, dict) else [content]) if names]
    fitting = {names for names in lists if len(names) in lengths}
    if len(fitting) != 1:
        asked = " or ".join(str(length) for length in lengths)
        seen = ", ".join(str(len(names)) for names in lists) or "no list of names at all"
        raise DataError(
            str(path),
            f"holds {'two different lists' if fitting else 'no list'} of {asked} names (found: {seen})",
            "give the list that the matrix was made from, one name per row",
        )
    return fitting.pop()


def pick_by_name(names: Sequence[str], wanted: Sequence[str], source: str) -> list[int]:
    """Return the row of each wanted name: the one spelled exactly so, or else the one that is said the same.

    Raises:
        DataError: if a name has no row, or more than one.
    """
    exact, spoken = defaultdict(list), defaultdict(list)
    for row, name in enumerate(names):
        exact[name].append(row)
        spoken[clean_name(name)].append(row)
    found = {
        name: exact.get(name) or exact.get(clean_name(name)) or spoken.get(clean_name(name), []) for name in wanted
    }
    missing = [name for name, rows in found.items() if not rows]
    if missing:
        near = difflib.get_close_matches(missing[0], names, n=_SHOWN, cutoff=0.5)
        raise DataError(
            source,
            f"{len(missing)} of {len(found)} classes are not among its {len(names)} names: "
            + ", ".join([*missing[:_SHOWN], *["..."] * (len(missing) > _SHOWN)])
            + (f" (near {missing[0]!r}: {', '.join(near)})" if near else ""),
            "add rows of these names, or choose the class table that the file was made for",
        )
    for name, rows in found.items():
        if len(rows) > 1:
            spelled = ", ".join(f"row {row} {names[row]!r}" for row in rows[:_SHOWN])
            raise DataError(source, f"class {name!r} fits more than one row: {spelled}", "leave one of them")
    return [rows[0] for rows in found.values()]


def spoken_forms(name: str) -> frozenset[str]:
    """Return all that a class may be called, each synonym without suffixes, case, hyphens and underscores.

    Two names with a form in common mean one class: "tree-merged" and "Tree", "cow" and "cow, cattle".
    """
    plain = " ".join(name.casefold().split()).replace("_", "-")
    forms = (" ".join(clean_name(synonym.strip()).split()) for synonym in plain.split(","))
    return frozenset(form for form in forms if form)


def match_rows(names: Sequence[str], wanted: Sequence[str]) -> list[int | None]:
    """Return the row of each wanted name: the one spelled exactly so, or else the only one that means the same."""
    exact, spoken = defaultdict(list), defaultdict(set)
    for row, name in enumerate(names):
        exact[name].append(row)
        for form in spoken_forms(name):
            spoken[form].add(row)
    found = [
        exact.get(name) or frozenset[int]().union(*(spoken.get(form, ()) for form in spoken_forms(name)))
        for name in wanted
    ]
    return [next(iter(rows)) if len(rows) == 1 else None for rows in found]


def _names_of(content: Any) -> tuple[str, ...] | None:
    """Return the names in a JSON list, or None if it is no list of names."""
    if not isinstance(content, list):
        return None
    names = tuple(_name_of(entry) for entry in content)
    return names if all(names) else None


def _name_of(entry: Any) -> str:
    if isinstance(entry, dict):
        entry = entry.get("name")
    elif isinstance(entry, list) and len(entry) == 2:
        entry = entry[1]
    return entry.strip() if isinstance(entry, str) else ""
