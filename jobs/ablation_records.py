"""An ablation in MLflow: a parent run, and below it a run for each fit; said again, they are updated, not doubled."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.run_record import RunRecord
from cluster.storage import RunDir
from jobs.ablation_fits import Fit
from jobs.config import PipelineConfig
from jobs.tracker import send_all, shard_datasets, tracker_of
from pading.evaluate.ablation import VariantResult
from pading.evaluate.ablation_pages import PAGES
from pading.zeroshot.ablation import Variant


def record_ablation(
    config: PipelineConfig,
    run_dir: RunDir,
    inputs: Mapping[str, str],
    fits: Sequence[Fit],
    results: Mapping[Variant, VariantResult],
    report: Mapping[str, Any],
    folder: Path,
) -> None:
    """Send an ablation to the tracker, which may be down; tables that are added later join the same parent run."""
    identity = hashlib.sha256(json.dumps([config.preset, dict(inputs)], sort_keys=True).encode()).hexdigest()[:16]
    experiment, parent = f"pading/{config.task}", f"{identity}/ablation"
    common = {"split": report["split"], "stage": "ablate", "leaky": str(report["leaky"]).lower()}
    records = [
        RunRecord(
            experiment=experiment,
            key=parent,
            name=f"ablation {run_dir.root.resolve().name}",
            params={"preset": config.preset, **inputs},
            tags={
                **common,
                "run_dir": run_dir.root.resolve(),
                "tables": ",".join(table["name"] for table in report["tables"]),
            },
            metrics={"num_variants": len(results), "num_fits": len(fits), "num_images": report["num_images"]},
            artifacts=[folder / page for page in PAGES],
            datasets=shard_datasets(config, run_dir),
        )
    ]
    tables: dict[int, list[str]] = {}
    for table in report["tables"]:
        for line in table["lines"]:
            tables.setdefault(line["variant"], []).append(f"{table['name']}={line['label']}")
    numbers = {variant: number for number, variant in enumerate(results)}
    for fit in fits:
        metrics = results[fit.variant].metrics[fit.seed]
        records.append(
            RunRecord(
                experiment=experiment,
                key=f"{parent}/{fit.key}",
                name=fit.name,
                params={"preset": config.preset, "fit": fit.key},
                tags={
                    **common,
                    "method": fit.variant.method,
                    "profile": fit.variant.settings.profile,
                    "seed": fit.seed,
                    "lines": " ".join(tables[numbers[fit.variant]]),
                },
                metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
                parent=parent,
            )
        )
    send_all(tracker_of(run_dir), records, run_dir)
