"""Stage `verify`: what is wrong with a COCO folder, and where, before anything is made from it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from cluster.session import connect
from cluster.storage import RunDir, file_digest
from cluster.tasks import in_order
from jobs.config import PipelineConfig, coco_root, data_root, split_of
from jobs.progress import Progress, complain, say
from pading.data.checks.duplicates import shared_findings
from pading.data.checks.findings import Finding
from pading.data.checks.headers import header_findings
from pading.data.checks.pixels import PixelCheck, check_pixels
from pading.data.checks.report import ClassCounts, Report
from pading.data.checks.survey import ChosenImage, Survey, survey
from pading.data.checks.verify import readable, summarise, with_findings
from pading.data.coco.layout import find_instances, find_panoptic, find_stuff
from pading.splits.split import Part, Split

PARTS: tuple[Part, ...] = ("train", "val")
IMAGES_PER_TASK = 64  # a second or two of decoding


def verify(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Check train and val (layout, annotations, headers; every pixel with `data.deep`) and write what was found.

    Raises:
        ValueError: if there is an error that `data.skip_bad` does not allow; the reports stay in the work folder.
    """
    root, split = data_root(config, run_dir), split_of(config)
    reports: dict[Part, Report] = {}
    photos = {}
    for part in PARTS:
        surveyed = survey(root, split, part)
        reports[part] = _check_files(surveyed, config.data.deep)
        photos[part] = surveyed.photos
    reports["val"] = with_findings(reports["val"], shared_findings(photos["train"], photos["val"]))
    for part, report in reports.items():
        say(report.to_text())
        for place in (run_dir.work("verify"), folder):
            (place / f"{part}.json").write_text(report.to_json())
    _stop_at_errors([*reports["train"].errors, *reports["val"].errors], config.data.skip_bad, run_dir.work("verify"))
    return {
        part: {"images": report.num_images, **report.choices, "errors": len(report.errors)}
        for part, report in reports.items()
    }


def outside_files(config: PipelineConfig) -> dict[str, str]:
    """Return digests of what a run depends on: the annotation files, or the list of label maps where there are none.

    Raises:
        FileNotFoundError: if the folder is not laid out as the split's task asks for.
    """
    root, split = coco_root(config), split_of(config)
    digests = {}
    for part in PARTS:
        name = split.folder(part)
        if split.task == "semantic":
            labels = find_stuff(root, name).labels
            listing = "\n".join(sorted(path.name for path in labels.iterdir()))
            digests[f"label maps of {part}"] = hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()[:16]
        else:
            panoptic = split.task == "panoptic"
            file = (find_panoptic(root, name) if panoptic else find_instances(root, split, part)).annotations
            digests[file.name] = file_digest(file)
    return digests


def _check_files(surveyed: Survey, deep: bool) -> Report:
    """Open every image of one part for its header, and decode it if the check is a deep one."""
    progress = Progress(f"headers of {surveyed.part}", len(surveyed.images))
    of_headers = []
    for done, found in enumerate(header_findings(surveyed.images), start=1):
        of_headers.append(found)
        progress.update(done)
    pixels = _decode(readable(surveyed, of_headers), surveyed.split, surveyed.part) if deep else None
    return summarise(surveyed, of_headers, pixels)


def _decode(images: Sequence[ChosenImage], split: Split, part: Part) -> PixelCheck:
    """Decode images in processes all over the cluster; a share of the records travels with each task."""
    connect()
    progress, done = Progress(f"pixels of {part}", len(images)), 0
    findings, counts = [], ClassCounts.zero(split.classes)
    shares = [images[start : start + IMAGES_PER_TASK] for start in range(0, len(images), IMAGES_PER_TASK)]
    for reference in in_order(lambda share: _check.remote(share, split, part), shares):
        checked = ray.get(reference)
        findings += checked.findings  # they keep the order of the annotation file
        counts += checked.counts
        progress.update(done := min(done + IMAGES_PER_TASK, len(images)))
    return PixelCheck(findings=tuple(findings), counts=counts)


@ray.remote
def _check(images: list[ChosenImage], split: Split, part: Part) -> PixelCheck:
    return check_pixels(images, split, part)


def _stop_at_errors(errors: Sequence[Finding], skip_bad: bool, work: Path) -> None:
    """Stop at the gravest error; `skip_bad` only counts those that go away with an image: the next stage meets them."""
    stopping = [finding for finding in errors if not (skip_bad and finding.is_skippable)]
    if stopping:
        first = min(stopping, key=lambda finding: finding.is_skippable)
        remedy = "" if skip_bad or not all(finding.is_skippable for finding in errors) else "; or --skip-bad"
        more = f" (1 of {len(errors)} errors; all are listed in {work})" if len(errors) > 1 else ""
        raise ValueError(f"{first.file}: {first.what}; {first.remedy}{remedy}{more}")
    if errors:
        complain(f"warning: {len(errors)} errors, whose images the shards will lack (--skip-bad)")
