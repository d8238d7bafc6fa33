"""The report of a check of one part of a split: counts beside the published ones, classes, findings.

Axes: K classes.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pading.classes import ClassTable
from pading.data.checks.findings import Finding, findings_to_text
from pading.splits.split import Expectation, Part

CLASSES_A_LINE = 4


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """How much of each class the kept images hold; counts of disjoint images add up. Crowds are counted apart."""

    segments: tuple[int, ...]  # (K,)
    pixels: tuple[int, ...]  # (K,); zeros unless images were decoded
    num_crowds: int = 0

    @staticmethod
    def zero(classes: ClassTable) -> "ClassCounts":
        """Return the counts of no image."""
        return ClassCounts(segments=(0,) * classes.num_classes, pixels=(0,) * classes.num_classes)

    def __add__(self, other: "ClassCounts") -> "ClassCounts":
        return ClassCounts(
            segments=tuple(a + b for a, b in zip(self.segments, other.segments, strict=True)),
            pixels=tuple(a + b for a, b in zip(self.pixels, other.pixels, strict=True)),
            num_crowds=self.num_crowds + other.num_crowds,
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found in one part of a split; images are counted where their annotation is sound."""

    root: str
    split: str
    part: Part
    folder: str
    classes: ClassTable
    is_deep: bool  # images were decoded
    choices: dict[str, int]  # "kept", and each reason for leaving an image out
    counts: ClassCounts | None  # None where only decoding could tell
    expected: tuple[Expectation, ...]
    findings: tuple[Finding, ...]

    @property
    def num_images(self) -> int:
        """How many images there are, kept or not."""
        return sum(self.choices.values())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def num_warnings(self) -> int:
        """How many findings are warnings."""
        return len(self.findings) - len(self.errors)

    def found(self, expectation: Expectation) -> int:
        """Return the count that a published one speaks of."""
        return self.num_images if expectation.what == "images" else self.choices.get("kept", 0)

    def to_json(self) -> str:
        """Return counts and all findings as JSON text."""
        names = self.classes.names
        plain: dict[str, Any] = {
            "root": self.root,
            "split": self.split,
            "part": self.part,
            "folder": self.folder,
            "is_deep": self.is_deep,
            "num_images": self.num_images,
            "choices": self.choices,
            "published": [
                {"what": row.what, "expected": row.count, "found": self.found(row), "source": row.source}
                for row in self.expected
            ],
            "num_errors": len(self.errors),
            "num_warnings": self.num_warnings,
            "unseen_names": [names[index] for index in self.classes.unseen],
        }
        if self.counts is not None:
            plain["num_crowds"] = self.counts.num_crowds
            plain["class_segments"] = dict(zip(names, self.counts.segments, strict=True))
            if self.is_deep:
                plain["class_pixels"] = dict(zip(names, self.counts.pixels, strict=True))
        plain["findings"] = [dataclasses.asdict(finding) for finding in self.findings]
        return json.dumps(plain, indent=1)

    def to_text(self) -> str:
        """Return a page to read: counts, published counts, the first findings, and how often each class occurs."""
        left_out = ", ".join(f"{reason} {count}" for reason, count in self.choices.items() if reason != "kept")
        lines = [
            f"{self.part} of {self.split}: {self.folder}/ in {self.root}",
            f"  images    {self.num_images:>9}   kept {self.choices.get('kept', 0)}"
            + (f"   left out: {left_out}" if left_out else ""),
        ]
        if self.counts is not None:
            lines.append(f"  segments  {sum(self.counts.segments):>9}   crowds {self.counts.num_crowds}")
        lines.append(f"  errors    {len(self.errors):>9}   warnings {self.num_warnings}")
        lines += [*self._published(), *findings_to_text(self.findings), *self._class_cells()]
        return "\n".join(lines)

    def _published(self) -> Iterator[str]:
        if self.expected:
            yield f"  {'':<10}{'expected':>9} {'found':>9}   where from"
        for row in self.expected:
            differs = "" if row.count == self.found(row) else "  (differs)"
            yield f"  {row.what:<10}{row.count:>9} {self.found(row):>9}   {row.source}{differs}"

    def _class_cells(self) -> Iterator[str]:
        if self.counts is None:
            yield "  classes are counted by --deep: only the pixels of label maps tell them"
            return
        yield "  segments of each class in the kept images (* unseen)"
        cells = [
            f"{count:>8} {name + ('' if is_seen else '*'):<20}"
            for count, name, is_seen in zip(self.counts.segments, self.classes.names, self.classes.is_seen, strict=True)
        ]
        for start in range(0, len(cells), CLASSES_A_LINE):
            yield "".join(cells[start : start + CLASSES_A_LINE]).rstrip()
