"""What a check of a data set finds: each thing that is wrong with the file and the remedy, and how to say it."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pading.data.errors import DataError, MissingFileError

MAX_FINDINGS_SHOWN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong. An error would stop or falsify training; a warning deserves a look."""

    severity: Literal["error", "warning"]
    file: str
    what: str
    remedy: str
    is_skippable: bool = False  # an error that goes away with the image: sharding can put it aside and go on

    @staticmethod
    def from_error(error: DataError | MissingFileError, *, is_skippable: bool) -> "Finding":
        """Return an error that a reader raised, as a finding."""
        return Finding(
            severity="error", file=error.file, what=error.what, remedy=error.remedy, is_skippable=is_skippable
        )

    @property
    def line(self) -> str:
        """The finding as one line."""
        return f"{self.severity}: {self.file}: {self.what}; {self.remedy}"

    def as_warning(self, why: str) -> "Finding":
        """Return the finding as one that does not stop anything, and why it does not."""
        return dataclasses.replace(self, severity="warning", what=f"{self.what} ({why})", is_skippable=False)


def findings_to_text(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield one line for each of the first findings, errors before warnings, and one for the rest."""
    ordered = sorted(findings, key=lambda finding: (finding.severity, finding.is_skippable))
    for finding in ordered[:MAX_FINDINGS_SHOWN]:
        yield f"  {finding.line}"
    if len(ordered) > MAX_FINDINGS_SHOWN:
        yield f"  ... and {len(ordered) - MAX_FINDINGS_SHOWN} more"
