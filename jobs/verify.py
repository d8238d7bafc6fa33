"""Stage `verify`: what is wrong with a COCO folder, and where, before anything is made from it."""

import json
from pathlib import Path
from typing import Any

from cluster.storage import RunDir, write_json
from jobs.presets import PipelineConfig, class_table, data_root
from jobs.progress import say
from pading.data.verify import verify_panoptic

SPLITS = ("train2017", "val2017")
REPORT = "report.json"


def verify(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Check both splits (layout, JSON, headers, ids) and write the findings.

    Raises:
        ValueError: if there is an error; warnings are reported and let pass.
    """
