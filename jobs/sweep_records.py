"""A sweep in MLflow: a parent run, and below it a run for each trial; said again, they are updated, not doubled."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.run_record import RunRecord, table_json
from cluster.storage import Manifest, RunDir
from jobs.config import PipelineConfig
from jobs.shard import shard_classes
from jobs.tracker import shard_datasets
from pading.config import to_plain
from tuning.trial import OBJECTIVE

SWEEPS = "pading/sweep"  # an experiment of its own: those of the tasks hold what may be compared
INPUTS = ("cache", "segmenter", "text")
TRIALS_TABLE = "trials.json"


def sweep_records(
    config: PipelineConfig, run_dir: RunDir, trials: Sequence[Mapping[str, Any]], best: Mapping[str, Any]
) -> list[RunRecord]:
    """Return what MLflow is told of a sweep: the whole first, with the chosen settings, then every trial."""
    digests = {name: _digest_of(run_dir, name) for name in INPUTS}
    settings = {"method": to_plain(config.method), "sweep": to_plain(config.sweep), "seed": config.seed}
    key = _short_digest([digests, settings])
    split = shard_classes(run_dir).name
    common = {"split": split, "stage": "sweep", "method": "pading", "run_dir": run_dir.root.resolve()}
    parent = RunRecord(
        experiment=SWEEPS,
        key=key,
        name=f"sweep {run_dir.root.resolve().name}",
        params={"preset": config.preset, **to_plain(config.sweep), "seed": config.seed, **digests},
        tags={**common, **{f"best.{name}": value for name, value in best["settings"].items()}},
        metrics=_finite({OBJECTIVE: best[OBJECTIVE], "num_trials": len(trials), **best["metrics"]})
        | {"num_failed": sum(trial["error"] is not None for trial in trials)},
        tables={TRIALS_TABLE: _table(trials)},
        datasets=shard_datasets(config, run_dir)[:1],  # no trial sees val
    )
    children = [
        RunRecord(
            experiment=SWEEPS,
            key=f"{key}/{_short_digest(trial['settings'])}",
            name=f"trial {rank}",
            params=trial["settings"],
            tags={**common, "rank": rank, "error": trial["error"] or "", "is_chosen": str(trial == best).lower()},
            metrics=_finite({**trial["metrics"], "seconds": trial["seconds"]}),
            parent=key,
            status="FINISHED" if trial["error"] is None else "FAILED",
        )
        for rank, trial in enumerate(trials, start=1)
    ]
    return [parent, *children]


def _table(trials: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({name for trial in trials for name in trial["settings"]})
    rows = []
    for trial in trials:
        score = _finite({OBJECTIVE: trial[OBJECTIVE]}).get(OBJECTIVE)
        rows.append([*(trial["settings"].get(name) for name in names), score, trial["seconds"], trial["error"]])
    return table_json([*names, OBJECTIVE, "seconds", "error"], rows)


def _finite(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def _digest_of(run_dir: RunDir, name: str) -> str:
    manifest = Manifest.read(run_dir.artefact(name))
    assert manifest is not None  # the stage is finished
    return manifest.digest


def _short_digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
