"""The check of a data set: collects everything that is wrong, where a reader stops at the first error.

It runs in steps, so that a caller may spread them out: `survey` reads annotations, `header_findings` opens files,
`check_pixels` decodes them, `summarise` makes the report of a part, `shared_findings` compares the parts.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pading.data.checks.duplicates import shared_findings
from pading.data.checks.findings import Finding
from pading.data.checks.headers import header_findings
from pading.data.checks.pixels import PixelCheck, check_pixels
from pading.data.checks.report import Report
from pading.data.checks.survey import KEPT, ChosenImage, Survey, listed_counts, survey
from pading.splits.split import Split

MAX_NAMED = 8


def verify(root: Path, split: Split, *, deep: bool = False) -> tuple[Report, Report]:
    """Check train and val of a split in this process; nothing that is wrong with the data raises.

    With `deep` images are decoded and compared with their annotation; without, only headers are read.
    """
    train, val = survey(root, split, "train"), survey(root, split, "val")
    reports = []
    for part in (train, val):
        found = list(header_findings(part.images))
        pixels = check_pixels(readable(part, found), split, part.part) if deep else None
        reports.append(summarise(part, found, pixels))
    return reports[0], with_findings(reports[1], shared_findings(train.photos, val.photos))


def readable(survey: Survey, of_headers: Sequence[Sequence[Finding]]) -> list[ChosenImage]:
    """Return the images whose headers gave no reason not to decode them."""
    return [image for image, found in zip(survey.images, of_headers, strict=True) if not found]


def summarise(survey: Survey, of_headers: Iterable[Sequence[Finding]], pixels: PixelCheck | None) -> Report:
    """Return the report of one part: what its annotations, the headers and, if they were decoded, the pixels say."""
    classes = survey.split.classes
    counts = pixels.counts if pixels is not None else listed_counts(survey.images, classes)
    choices = Counter(image.choice for image in survey.images)
    report = Report(
        root=str(survey.root),
        split=survey.split.name,
        part=survey.part,
        folder=survey.split.folder(survey.part),
        classes=classes,
        is_deep=pixels is not None,
        choices={KEPT: choices[KEPT]} | dict(sorted(choices.items())),
        counts=counts,
        expected=tuple(row for row in survey.split.expected if row.part == survey.part),
        findings=(),
    )
    found = [*survey.findings, *(finding for findings in of_headers for finding in findings)]
    if pixels is not None:
        found += pixels.findings
    if survey.images:
        found += [*_other_counts(report), *_absent_classes(report)]
    if not report.choices[KEPT]:
        what = f"no image of {len(survey.images)} is left for {survey.part}"
        remedy = "see what else was found" if found else "choose another split, or a larger part of the data set"
        found.append(Finding(severity="error", file=str(survey.root), what=what, remedy=remedy))
    return with_findings(report, found)


def with_findings(report: Report, more: Iterable[Finding]) -> Report:
    """Return the report with more findings."""
    return dataclasses.replace(report, findings=(*report.findings, *more))


def _other_counts(report: Report) -> Iterator[Finding]:
    """Yield a warning if counts are not the published ones."""
    rows = [row for row in report.expected if report.found(row) != row.count]
    if rows:
        of_what = {"images": "images", "kept": "images kept"}
        counts = " and ".join(
            f"{report.found(row)} {of_what[row.what]} where {row.count} are published ({row.source})" for row in rows
        )
        yield Finding(
            severity="warning",
            file=str(Path(report.root) / report.folder),
            what=f"has {counts}",
            remedy="fine for a part of the data set; else another release or an unfinished download",
        )


def _absent_classes(report: Report) -> Iterator[Finding]:
    """Yield a warning if seen classes cannot be learnt, or unseen ones not be tested."""
    if report.counts is None:
        return
    is_train = report.part == "train"
    wanted = report.classes.seen if is_train else report.classes.unseen
    absent = [report.classes.names[index] for index in wanted if not report.counts.segments[index]]
    if not absent:
        return
    of_which = f"{len(absent)} of the {len(wanted)} {'seen' if is_train else 'unseen'} classes"
    named = ", ".join(absent[:MAX_NAMED]) + (", ..." if len(absent) > MAX_NAMED else "")
    yield Finding(
        severity="warning",
        file=str(Path(report.root) / report.folder),
        what=f"has no segment of {of_which} in the images kept: {named}",
        remedy="nothing can be learnt of them" if is_train else "no test image shows them: their scores mean nothing",
    )
