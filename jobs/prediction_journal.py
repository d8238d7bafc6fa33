"""What `predict` has finished: one line of JSON for each photo, frame or video. It goes on from there.

The lines hold what the JSON files will say, so that memory does not grow with the number of photos.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pading.data.errors import DataError

JOURNAL = "predictions.jsonl"
SCHEMA_VERSION = 1


@dataclass(kw_only=True)
class Journal:
    """Entries by name; of several with one name the last counts."""

    path: Path
    handle: BinaryIO
    places: dict[str, int] = field(default_factory=dict)  # name -> where its line begins
    stamps: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def open(folder: Path, settings: dict[str, Any], *, again: bool) -> "Journal":
        """Return the journal of a folder, a new one if there is none or everything is to be done again.

        A last line that was cut short is dropped: its photo is not finished.

        Raises:
            ValueError: if it is of other settings, or a line does not read.
        """
        path = folder / JOURNAL
        header = {"schema": SCHEMA_VERSION, "settings": settings}
        folder.mkdir(parents=True, exist_ok=True)
        if again or not path.is_file():
            handle = path.open("w+b")
            handle.write(json.dumps(header).encode() + b"\n")
            handle.flush()
            return Journal(path=path, handle=handle)
        journal = Journal(path=path, handle=path.open("r+b"))
        try:
            journal._read(header)
        except BaseException:
            journal.handle.close()
            raise
        return journal

    def has(self, name: str, stamp: str) -> bool:
        """Return whether what has this name was finished, and has not changed since."""
        return self.stamps.get(name) == stamp

    def add(self, entry: dict[str, Any], stamp: str) -> None:
        """Write that what has the entry's name is finished."""
        line = json.dumps({**entry, "stamp": stamp}, allow_nan=False).encode() + b"\n"
        place = self.handle.seek(0, 2)
        self.handle.write(line)
        self.handle.flush()
        self.places[entry["name"]], self.stamps[entry["name"]] = place, stamp

    def entries(self, names: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the entries of these names, in order."""
        for name in names:
            self.handle.seek(self.places[name])
            yield json.loads(self.handle.readline())

    def close(self) -> None:
        """Close the file."""
        self.handle.close()

    def _read(self, header: dict[str, Any]) -> None:
        remedy = "give another --out, or do it --again"
        first = self.handle.readline()
        found = self._parsed(first, 1) if first.endswith(b"\n") else {}
        if found != header:
            settings = found.get("settings")
            known = settings if isinstance(settings, dict) else {}
            changed = [name for name, value in header["settings"].items() if known.get(name) != value]
            what = f"is of predictions with other settings ({', '.join(changed) or 'another version'})"
            raise DataError(str(self.path), what, remedy)
        place = self.handle.tell()
        for number, line in enumerate(iter(self.handle.readline, b""), start=2):
            if not line.endswith(b"\n"):
                self.handle.truncate(place)
                return
            entry = self._parsed(line, number)
            name, stamp = entry.get("name"), entry.get("stamp")
            if not isinstance(name, str) or not isinstance(stamp, str):
                raise DataError(str(self.path), f"line {number} names no photo", remedy)
            self.places[name], self.stamps[name] = place, stamp
            place = self.handle.tell()

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = f"line {number} does not read ({error})"
            raise DataError(str(self.path), what, "give another --out, or do it --again") from error
        if not isinstance(entry, dict):
            raise DataError(str(self.path), f"line {number} is no object", "give another --out, or do it --again")
        return entry
