"""What a check of a data set found: counts, and each thing that is wrong with the file and the remedy."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Literal

from pading.data.errors import DataError, MissingFileError

MAX_FINDINGS_SHOWN = 20
CLASSES_A_LINE = 4


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. An error would stop or falsify training; a warning deserves a look."""

    severity: Literal["error", "warning"]
    file: str
    what: str
    remedy: str

    @staticmethod
    def from_error(error: DataError | MissingFileError) -> "Finding":
        """Return an error that a reader raised, as a finding."""
        return Finding(severity="error", file=error.file, what=error.what, remedy=error.remedy)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Findings and counts of one split; images are counted where their annotation is sound."""

    root: str
    split: str
    num_images: int
    num_segments: int
    num_crowds: int
    num_without_unseen: int
    class_segments: dict[str, int]  # crowds included
    unseen_names: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def num_errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def num_warnings(self) -> int:
        """How many findings are warnings."""
        return len(self.findings) - self.num_errors

    def to_json(self) -> str:
        """Return counts and all findings as JSON text."""
        counts = {"num_errors": self.num_errors, "num_warnings": self.num_warnings}
        return json.dumps(dataclasses.asdict(self) | counts, indent=1)

    def to_text(self) -> str:
        """Return a page to read: the counts, the first findings, and how often each class occurs."""
        lines = [
            f"{self.split} in {self.root}",
            f"  images    {self.num_images:>8}   without unseen classes {self.num_without_unseen}",
            f"  segments  {self.num_segments:>8}   crowds {self.num_crowds}",
            f"  errors    {self.num_errors:>8}   warnings {self.num_warnings}",
        ]
        ordered = sorted(self.findings, key=lambda finding: finding.severity)
        for finding in ordered[:MAX_FINDINGS_SHOWN]:
            lines.append(f"  {finding.severity}: {finding.file}: {finding.what}; {finding.remedy}")
        if len(ordered) > MAX_FINDINGS_SHOWN:
            lines.append(f"  ... and {len(ordered) - MAX_FINDINGS_SHOWN} more")
        lines.append("  segments of each class (* unseen)")
        cells = [
            f"{count:>8} {name + '*' if name in self.unseen_names else name:<20}"
            for name, count in self.class_segments.items()
        ]
        for start in range(0, len(cells), CLASSES_A_LINE):
            lines.append("".join(cells[start : start + CLASSES_A_LINE]).rstrip())
        return "\n".join(lines)
