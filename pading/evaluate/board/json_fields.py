"""Fields of JSON files that others wrote: the value if it is what it should be, or which file and field is not."""

import json
import math
from pathlib import Path
from typing import Any

from pading.data.errors import DataError

REMEDY = "run evaluate again"


def read_json(path: Path) -> Any:
    """Return what a JSON file holds, None if there is no file.

    Raises:
        DataError: if it is not JSON, or holds null.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise DataError(str(path), f"is not JSON ({error})", REMEDY) from error
    if found is None:
        raise DataError(str(path), "holds nothing but null", REMEDY)
    return found


def objects(path: Path, found: Any) -> list[dict[str, Any]]:
    """Return a list of objects.

    Raises:
        DataError: if it is none.
    """
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise DataError(str(path), "a list of objects is missing", REMEDY)
    return found


def field(path: Path, where: str, entry: dict[str, Any], name: str, kind: type) -> Any:
    """Return a field of exactly one type.

    Raises:
        DataError: if it is missing or of another type.
    """
    if type(entry.get(name)) is not kind:
        seen = f"is {entry[name]!r}" if name in entry else "is missing"
        raise DataError(str(path), f"{where}: {name!r} {seen}, expected {kind.__name__}", REMEDY)
    return entry[name]


def number(path: Path, where: str, entry: dict[str, Any], name: str) -> float | None:
    """Return a finite number; None for null, and for what strict JSON has no number for.

    Raises:
        DataError: if it is missing, or neither a number nor null.
    """
    value = entry.get(name)
    if name not in entry or type(value) not in (int, float, type(None)):
        raise DataError(str(path), f"{where}: {name!r} is {value!r}, expected a number or null", REMEDY)
    return float(value) if value is not None and math.isfinite(value) else None


def numbers(path: Path, where: str, entry: dict[str, Any], name: str) -> list[float | None]:
    """Return a list of finite numbers and None.

    Raises:
        DataError: if it is no list, or holds anything else.
    """
    values = field(path, where, entry, name, list)
    return [number(path, f"{where}, {name!r}", {"value": value}, "value") for value in values]
