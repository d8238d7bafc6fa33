"""Stage `verify`: what is wrong with a COCO folder, and where, before anything is made from it."""

import json
from pathlib import Path
from typing import Any

from cluster.storage import RunDir, write_json
from jobs.presets import PipelineConfig, class_table, coco_root, data_root
from jobs.progress import say
from pading.data.layout import find_panoptic
from pading.data.verify import verify_panoptic

SPLITS = ("train2017", "val2017")


def verify(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Check both splits (layout, JSON, headers, ids) and write the findings.

    Raises:
        ValueError: if there is an error; warnings are said and let pass.
    """
    root, classes = data_root(config, run_dir), class_table(config)
    counts = {}
    for split in SPLITS:
        report = verify_panoptic(root, split, classes, decode=config.data.verify_decodes)
        say(report.to_text())
        write_json(folder / f"{split}.json", json.loads(report.to_json()))
        if report.num_errors:
            first = next(finding for finding in report.findings if finding.severity == "error")
            more = f" (and {report.num_errors - 1} more errors, listed above)" if report.num_errors > 1 else ""
            raise ValueError(f"{first.file}: {first.what}; {first.remedy}{more}")
        counts[split] = {"images": report.num_images, "without_unseen": report.num_without_unseen}
    return counts


def annotation_files(config: PipelineConfig) -> list[Path]:
    """Return the JSON files that a run depends on.

    Raises:
        FileNotFoundError: if the folder is not laid out as COCO's.
    """
    root = coco_root(config)
    return [find_panoptic(root, split).annotations for split in SPLITS]
