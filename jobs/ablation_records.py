"""An ablation in MLflow: a parent run, and below it a run for each fit; said again, they are updated, not doubled."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.secrets import masked
from cluster.storage import RunDir
from jobs.ablation_fits import Fit
from jobs.config import PipelineConfig
from jobs.leaderboard import tracker_of
from jobs.progress import Progress, say
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
    tracker = tracker_of(run_dir)
    identity = hashlib.sha256(json.dumps([config.preset, dict(inputs)], sort_keys=True).encode()).hexdigest()[:16]
    experiment, parent = f"pading/{config.task}", f"{identity}/ablation"
    common = {"split": report["split"], "stage": "ablate", "leaky": str(report["leaky"]).lower()}
    sent = [
        tracker.record_run(
            experiment=experiment,
            key=parent,
            params={"preset": config.preset, "run_dir": run_dir.root.resolve(), **inputs},
            tags={**common, "tables": ",".join(table["name"] for table in report["tables"])},
            metrics={"num_variants": len(results), "num_fits": len(fits), "num_images": report["num_images"]},
            artifacts=[folder / page for page in PAGES],
        )
    ]
    tables: dict[int, list[str]] = {}
    for table in report["tables"]:
        for line in table["lines"]:
            tables.setdefault(line["variant"], []).append(f"{table['name']}={line['label']}")
    numbers = {variant: number for number, variant in enumerate(results)}
    progress = Progress("MLflow runs", len(fits))
    for fit in fits:
        metrics = results[fit.variant].metrics[fit.seed]
        sent.append(
            tracker.record_run(
                experiment=experiment,
                key=f"{parent}/{fit.key}",
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
        progress.update(len(sent) - 1)
    missing = sum(run_id is None for run_id in sent)
    if missing:
        say(f"  MLflow at {masked(tracker.uri)} did not answer: {missing} runs wait in {tracker.spool}")
    else:
        say(f"  MLflow: {len(sent)} runs at {masked(tracker.uri)}")
