"""COCO's JSON files, one entry at a time, so that even the largest needs little more memory than its text."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pading.data.errors import DataError
from pading.data.images import CORRUPT, DOWNLOAD_AGAIN

SPACES = " \t\n\r"  # "" is in it too: peek at the end goes the slow way
SPACE = re.compile(f"[{SPACES}]*")


def read_entries(file: Path, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (key, entry) for each object in the lists that the top level of the file holds under `keys`, in file order.

    Only the text and one entry are in memory; all entries of a file, as Python objects, take several times its size.

    Raises:
        ValueError: if the file is no readable JSON, or has not exactly one list of objects under each key.
    """
    try:
        yield from _entries(_Reader(file.read_bytes().decode("utf-8-sig")), keys, file)
    except DataError:
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(str(file), f"{CORRUPT} (not readable as JSON: {error})", DOWNLOAD_AGAIN) from error


def read_list(file: Path) -> Iterator[dict[str, Any]]:
    """Yield each object of a file that holds nothing but a list of objects, as COCO's results of instances do.

    Raises:
        ValueError: if the file is no readable JSON, or anything else than a list of objects.
    """
    try:
        reader = _Reader(file.read_bytes().decode("utf-8-sig"))
        if reader.peek() != "[":
            raise DataError(str(file), "holds no list of objects", "give COCO's results: a list, one entry an instance")
        for number, _ in enumerate(reader.items("[", "]"), start=1):
            entry = reader.value()
            if not isinstance(entry, dict):
                raise DataError(str(file), f"entry {number} of its list is no object", "give COCO's results")
            yield entry
        if reader.peek():
            raise ValueError(f"more text after the end, at character {reader.at}")
    except DataError:
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(str(file), f"{CORRUPT} (not readable as JSON: {error})", DOWNLOAD_AGAIN) from error


class _Reader:
    """A place in JSON text, between two values."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """Return the next character that is no space, "" at the end."""
        if (next_one := self.text[self.at : self.at + 1]) not in SPACES:
            return next_one
        self.at = SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty text at least
        return self.text[self.at : self.at + 1]

    def take(self, expected: str) -> None:
        if self.peek() != expected:
            raise ValueError(f"no {expected!r} at character {self.at}")
        self.at += len(expected)

    def value(self) -> Any:
        self.peek()
        value, self.at = self.decode(self.text, self.at)
        return value

    def items(self, opening: str, closing: str) -> Iterator[None]:
        """Stop before each item in a pair of brackets; whoever iterates reads the item."""
        self.take(opening)
        if self.peek() != closing:
            yield
            while self.peek() != closing:
                self.take(",")
                yield
        self.take(closing)


def _entries(reader: _Reader, keys: Sequence[str], file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    missing = list(keys)
    if reader.peek() == "{":
        for _ in reader.items("{", "}"):
            if not isinstance(key := reader.value(), str):
                raise ValueError(f"a key before character {reader.at} is no text")
            reader.take(":")
            if key not in keys:
                reader.value()
                continue
            if key not in missing or reader.peek() != "[":
                reader.value()
                raise _no_list(file, key)
            missing.remove(key)
            for _ in reader.items("[", "]"):
                entry = reader.value()
                if not isinstance(entry, dict):
                    raise _no_list(file, key)
                yield key, entry
    else:
        reader.value()
    if reader.peek():
        raise ValueError(f"more text after the end, at character {reader.at}")
    for key in missing:
        raise _no_list(file, key)


def _no_list(file: Path, key: str) -> DataError:
    return DataError(str(file), f"has no list of objects {key!r}", "give COCO's own annotation file")
