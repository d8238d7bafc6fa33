"""JSON files longer than memory: lists are written one entry at a time, and a file appears when it is whole."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO


def write_lists(path: Path, lists: Mapping[str, Iterable[Any]]) -> None:
    """Write an object whose fields are lists."""
    with _written_whole(path) as handle:
        for number, (key, entries) in enumerate(lists.items()):
            handle.write(("{" if number == 0 else ",\n") + json.dumps(key) + ": ")
            _write_entries(handle, entries)
        handle.write("}\n")


def write_list(path: Path, entries: Iterable[Any]) -> None:
    """Write a list."""
    with _written_whole(path) as handle:
        _write_entries(handle, entries)
        handle.write("\n")


def _write_entries(handle: TextIO, entries: Iterable[Any]) -> None:
    separator = "["
    for entry in entries:
        handle.write(f"{separator}\n{json.dumps(entry, allow_nan=False)}")
        separator = ","
    handle.write("[]" if separator == "[" else "\n]")


@contextlib.contextmanager
def _written_whole(path: Path) -> Iterator[TextIO]:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as handle:
            yield handle
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
