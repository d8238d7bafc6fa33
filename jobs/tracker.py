"""Which MLflow store a run goes to, the data sets that its runs name, and the words when records are sent."""

import hashlib
import json
import os
from collections.abc import Sequence

from cluster.run_record import Dataset, RunRecord
from cluster.storage import RunDir
from cluster.tracking import Tracker
from jobs.config import PipelineConfig
from jobs.progress import Progress, say
from jobs.shard import PARTS, shard_classes, shard_folder, shard_index

SPOOL = "mlflow_spool.jsonl"


def tracker_of(run_dir: RunDir) -> Tracker:
    """Return the MLflow store that `MLFLOW_TRACKING_URI` names, or the run directory's own SQLite file."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(run_dir.root / 'mlflow.db').resolve()}"
    is_sqlite = uri.startswith("sqlite:")  # keeps its artifacts beside the file
    artifacts = None if is_sqlite else run_dir.root.resolve() / "artifacts"
    return Tracker(uri, spool=run_dir.root / SPOOL, artifacts=artifacts)


def shard_datasets(config: PipelineConfig, run_dir: RunDir) -> tuple[Dataset, ...]:
    """Return the training and val shards of a run, by the digest of their bytes."""
    classes = shard_classes(run_dir)
    table = hashlib.sha256(classes.to_json().encode()).hexdigest()[:16]
    datasets = []
    for part in PARTS:
        index = shard_index(config, run_dir, part)
        counts = {"num_images": index.num_images, "num_bytes": index.num_bytes, "num_files": len(index.files)}
        profile = {**counts, "class_table": table, "seen": len(classes.seen), "unseen": len(classes.unseen)}
        datasets.append(
            Dataset(
                name=index.split,
                digest=index.digest[:32],
                context=part,
                source=json.dumps({"uri": shard_folder(config, run_dir, part)}),
                profile=json.dumps(profile),
            )
        )
    return tuple(datasets)


def send_all(tracker: Tracker, records: Sequence[RunRecord], run_dir: RunDir) -> int:
    """Record runs, parents first, say where they are, and return how many wait on disk for MLflow to answer."""
    progress = Progress("MLflow runs", len(records))
    missing = 0
    for done, record in enumerate(records, start=1):
        missing += tracker.record(record) is None
        progress.update(done)
    if missing:
        say(f"  MLflow at {tracker.shown_uri} did not take {missing} of {len(records)} runs; they wait in")
        say(f"  {tracker.spool.path}; send them by: pading leaderboard {run_dir.root} --sync")
    else:
        say(f"  MLflow: {len(records)} runs at {tracker.shown_uri}")
    return missing
