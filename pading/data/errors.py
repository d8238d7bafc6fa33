"""The errors of a file that is not what it should be, or not there: which file, what was seen, what to do."""

from collections.abc import Iterable
from typing import TypeVar

Record = TypeVar("Record")


class DataError(ValueError):
    """A file whose content cannot be used; reads as "file: what; remedy"."""

    def __init__(self, file: str, what: str, remedy: str) -> None:
        super().__init__(file, what, remedy)  # all three in args, so that the error survives pickling between processes
        self.file, self.what, self.remedy = file, what, remedy

    def __str__(self) -> str:
        return f"{self.file}: {self.what}; {self.remedy}"


class OtherClassesError(DataError):
    """An annotation file that means other classes: its labels would be wrong, whichever images are left out."""


class MissingFileError(FileNotFoundError):
    """A file or folder that should be there; reads as "file: what; remedy"."""

    def __init__(self, file: str, what: str, remedy: str) -> None:
        super().__init__(f"{file}: {what}; {remedy}")
        self.file, self.what, self.remedy = file, what, remedy

    def __reduce__(self) -> tuple[type["MissingFileError"], tuple[str, str, str]]:
        return type(self), (self.file, self.what, self.remedy)


def all_sound(items: Iterable[Record | DataError]) -> list[Record]:
    """Return the records of a scan.

    Raises:
        DataError: the first flaw among them.
    """
    records = []
    for item in items:
        if isinstance(item, DataError):
            raise item
        records.append(item)
    return records
