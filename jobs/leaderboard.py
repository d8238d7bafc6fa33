"""Stage `leaderboard`: evaluated rows -> MLflow runs, `leaderboard.{json,md,html}` and a table to read here."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

from cluster.secrets import masked
from cluster.storage import Manifest, RunDir
from cluster.tracking import Tracker
from jobs.config import PipelineConfig
from jobs.evaluate import PANELS, ROWS
from jobs.progress import say
from jobs.shard import shard_classes
from pading.evaluate.leaderboard_pages import terminal_table, write_leaderboard
from pading.segmenter.provenance import read_provenance


def publish(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write the leaderboard files into the run directory and one MLflow run per row; the tracker may be down."""
    evaluation = run_dir.artefact("evaluation")
    rows = json.loads((evaluation / ROWS).read_text())
    shutil.copy(evaluation / PANELS, folder / PANELS)
    write_leaderboard(run_dir.root, rows, notes=_notes(config, run_dir), panels=[folder / PANELS])
    say(terminal_table(rows))
    tracker = tracker_of(run_dir)
    identity = Manifest.read(evaluation)
    assert identity is not None
    sent = [record_row(tracker, config, run_dir, identity.digest, row, evaluation / PANELS) for row in rows]
    missing = sum(run_id is None for run_id in sent)
    if missing:
        say(f"  MLflow at {masked(tracker.uri)} did not answer: {missing} rows wait in {tracker.spool}")
    else:
        say(f"  MLflow: {len(rows)} runs at {masked(tracker.uri)}")
    return {"rows": len(rows), "mlflow": masked(tracker.uri), "spooled": missing}


def tracker_of(run_dir: RunDir) -> Tracker:
    """Return the MLflow store that `MLFLOW_TRACKING_URI` names, or the run directory's own SQLite file."""
    default = f"sqlite:///{(run_dir.root / 'mlflow.db').resolve()}"
    return Tracker(os.environ.get("MLFLOW_TRACKING_URI", default), spool=run_dir.root / "mlflow_spool.jsonl")


def record_row(
    tracker: Tracker, config: PipelineConfig, run_dir: RunDir, identity: str, row: dict[str, Any], artifact: Path
) -> str | None:
    """Write the MLflow run of a row, or attach one more file or folder to it; None if the tracker did not answer.

    `identity` is the digest of the evaluation that the row comes from.
    """
    split = shard_classes(run_dir).name
    name = f"{row['method']}-{row['profile']}-seed{row['seed']}"
    metrics = {key: value for key, value in row["metrics"].items() if value is not None and math.isfinite(value)}
    return tracker.record_run(
        experiment=f"pading/{row['task']}",
        key=f"{identity}/{name}",
        params={"preset": config.preset, "run_dir": run_dir.root.resolve(), "evaluation": identity},
        tags={key: row[key] for key in ("method", "profile", "seed")}
        | {"split": split, "stage": "evaluate", "leaky": str(row.get("leaky", False)).lower()},
        metrics=metrics,
        artifacts=[artifact],
    )


def _notes(config: PipelineConfig, run_dir: RunDir) -> list[str]:
    classes = shard_classes(run_dir)
    sizes = f"{len(classes.seen)} seen and {len(classes.unseen)} unseen classes"
    return [
        f"Segmenter started from {read_provenance(run_dir.artefact('segmenter')).line}.",
        f"Preset `{config.preset}`, split `{classes.name}`: {sizes}.",
        "All values in percent, over the val images; mean +- standard deviation over seeds of generator and classifier "
        "on one frozen segmenter.",
    ]
