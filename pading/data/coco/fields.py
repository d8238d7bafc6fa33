"""The fields of an entry of a COCO file: each is there and of its type, or the error says which is not.

`where` is how messages name the entry, `file` the file that holds it.
"""

import reprlib
import sys
from pathlib import Path
from typing import Any

from pading.data.errors import DataError

MAX_INTEGER = 2**63 - 1  # what a 64-bit column holds
MAX_IMAGE_PIXELS = 2**31 - 1  # what COCO's own tool can count
MAX_SHOWN = 80
FOLLOW_FORMAT = "give what COCO's format asks for"


def integer(entry: Any, key: str, where: str, file: Path) -> int:
    """Return an integer field; JSON's true and false are none.

    Raises:
        ValueError: if it is missing, of another type, or beyond 64 bits.
    """
    value: int = _field(entry, key, (int,), where, file)
    if abs(value) > MAX_INTEGER:
        raise DataError(str(file), f"{where}: {key!r} has {len(str(value))} digits", "use 64-bit integers")
    return value


def number(entry: Any, key: str, where: str, file: Path) -> float:
    """Return a finite number.

    Raises:
        ValueError: if it is missing, of another type, infinite or not a number.
    """
    value = _field(entry, key, (int, float), where, file)
    if not _is_finite(value):
        raise DataError(str(file), f"{where}: {key!r} is {shown(value)}", "give a finite number")
    return float(value)


def text(entry: Any, key: str, where: str, file: Path) -> str:
    """Return a text field.

    Raises:
        ValueError: if it is missing or of another type.
    """
    value: str = _field(entry, key, (str,), where, file)
    return value


def entries(entry: Any, key: str, where: str, file: Path) -> list[Any]:
    """Return a field that holds a list.

    Raises:
        ValueError: if it is missing or of another type.
    """
    value: list[Any] = _field(entry, key, (list,), where, file)
    return value


def flag(entry: Any, key: str, where: str, file: Path) -> bool:
    """Return a field that COCO writes as 0 or 1.

    Raises:
        ValueError: if it is missing or anything else.
    """
    value = integer(entry, key, where, file)
    if value not in (0, 1):
        raise DataError(str(file), f"{where}: {key!r} is {value}", "use 0 or 1")
    return bool(value)


def image_size(image: dict[str, Any], where: str, file: Path) -> tuple[int, int]:
    """Return the height and width of an entry of `images`.

    Raises:
        ValueError: if they are missing, not positive, or too large to be those of a photo.
    """
    height, width = integer(image, "height", where, file), integer(image, "width", where, file)
    if min(height, width) < 1 or height * width > MAX_IMAGE_PIXELS:
        raise DataError(str(file), f"{where}: size is {height} x {width}", "give the size of the photo in pixels")
    return height, width


def shown(value: Any) -> str:
    """Return a value of a damaged file as messages show it: the start of it, in one line."""
    return reprlib.repr(value)[:MAX_SHOWN]


def _field(entry: Any, key: str, kinds: tuple[type, ...], where: str, file: Path) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if type(value) not in kinds:
        what = f"{where}: {key!r} is {shown(value)}, not {kinds[-1].__name__}"
        raise DataError(str(file), what, FOLLOW_FORMAT)
    return value


def _is_finite(value: float) -> bool:
    return abs(value) <= sys.float_info.max  # false for NaN, and exact for integers of any length
