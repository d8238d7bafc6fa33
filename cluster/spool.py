"""A file of run records that wait for their tracker, one a line; several processes may write and send at once."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.run_record import RunRecord


@dataclass(frozen=True)
class Spool:
    """Records on disk. A line is there as a whole or not at all; a replay that is killed loses and doubles nothing."""

    path: Path

    def append(self, record: RunRecord) -> None:
        """Keep one more record, on disk before the call returns.

        Raises:
            OSError: if there is no room, or the folder cannot be written to; the file is as it was.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._changing():
                _append_whole(self.path, record.to_line().encode())
        except OSError as error:
            remedy = "make room or start the tracker, then say the command again"
            message = f"{self.path}: no tracker answers, and run {record.key!r} cannot be kept here ({error}); {remedy}"
            raise OSError(message) from error

    def records(self) -> list[RunRecord]:
        """Return what waits, oldest first.

        Raises:
            ValueError: naming the line that is no record.
        """
        return self._parse(self._content())

    def replay(self, send: Callable[[RunRecord], bool]) -> int:
        """Hand every record to `send`, drop those that it took (true), and return how many still wait.

        A second replay of the same file waits for the first one to end. What is appended meanwhile stays. Records are
        dropped together at the end: killed before, they are all sent again, and `send` must bear that.

        Raises:
            ValueError: if a line is no record; nothing is sent then.
        """
        if not self.path.exists():
            return 0
        with locked_file(self._beside("replay")):
            content = self._content()
            waiting = [record for record in self._parse(content) if not send(record)]
            with self._changing():
                rest = "".join(record.to_line() for record in waiting).encode() + self._content()[len(content) :]
                if rest:
                    unfinished = self._beside("partial")
                    unfinished.write_bytes(rest)
                    unfinished.replace(self.path)
                else:
                    self.path.unlink(missing_ok=True)
        return rest.count(b"\n")

    def _parse(self, content: bytes) -> list[RunRecord]:
        records = []
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                if line.strip():
                    records.append(RunRecord.from_line(line.decode()))
            except ValueError as error:
                raise ValueError(
                    f"{self.path}, line {number} is not a run record ({error}); mend or delete the line"
                ) from error
        return records

    def _content(self) -> bytes:
        return self.path.read_bytes() if self.path.exists() else b""

    def _changing(self) -> contextlib.AbstractContextManager[None]:
        return locked_file(self._beside("lock"))

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{suffix}")


@contextlib.contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends; wait for whoever holds it. The file stays."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _append_whole(path: Path, line: bytes) -> None:
    with path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":  # a writer was killed: let its torn line stand alone
            line = b"\n" + line
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise
