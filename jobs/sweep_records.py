"""A sweep in MLflow: a parent run, and below it a run for each trial; said again, they are updated, not doubled."""

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.run_record import RunRecord, table_json
from cluster.storage import Manifest, RunDir
from jobs.config import PipelineConfig
from jobs.shard import shard_classes
from jobs.tracker import shard_datasets
from pading.config import to_plain
from tuning.trial import DISCREPANCY, metric_of

SWEEPS = "pading/sweep"  # an experiment of its own: those of the tasks hold what may be compared
INPUTS = ("cache", "segmenter", "text")
TRIALS_TABLE = "trials.json"


def sweep_records(
    config: PipelineConfig,
    run_dir: RunDir,
    settings: Mapping[str, Any],
    trials: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any],
    pages: Sequence[Path] = (),
) -> list[RunRecord]:
    """Return what MLflow is told of a sweep: the whole first, with the chosen settings, then every trial, best first.

    The pages go with the whole. Discrepancies class by class stay in them: names of classes are no names of metrics.
    `settings` are those that the scores depend on: with the inputs and the name they are the sweep's identity.
    """
    digests = {name: _digest_of(run_dir, name) for name in INPUTS}
    key = _short_digest([digests, settings, config.sweep.name])
    objective = metric_of(config.sweep.objective)
    common = {
        "split": shard_classes(run_dir).name,
        "stage": "sweep",
        "method": "pading",
        "sweep": config.sweep.name,
        "leaky": str(best["leaky"]).lower(),
        "run_dir": run_dir.root.resolve(),
    }
    run_name = run_dir.root.resolve().name
    parent = RunRecord(
        experiment=SWEEPS,
        key=key,
        name=f"sweep {config.sweep.name} of {run_name}" if config.sweep.name else f"sweep {run_name}",
        params={"preset": config.preset, **to_plain(config.sweep), "seed": config.seed, **digests},
        tags={
            **common,
            "is_current": str(best["is_current"]).lower(),
            **{f"best.{name}": value for name, value in best["settings"].items()},
        },
        metrics=_finite({objective: best[objective], "num_trials": len(trials), **_shared(best["metrics"])})
        | {f"num_{state}": sum(trial["state"] == state for trial in trials) for state in ("stopped", "failed")}
        | _verdict(best["verdict"]),
        artifacts=pages,
        tables={TRIALS_TABLE: _table(trials, objective)},
        datasets=shard_datasets(config, run_dir)[: 2 if best["leaky"] else 1],  # no other trial sees val
    )
    children = [
        RunRecord(
            experiment=SWEEPS,
            key=f"{key}/{trial['number']}",
            name=f"trial {trial['number']}",
            params=trial["settings"],
            tags={
                **common,
                "rank": rank,
                "state": trial["state"],
                "error": trial["error"],
                "is_chosen": str(trial["number"] == best["number"]).lower(),
            },
            metrics=_finite({**_shared(trial["metrics"]), "seconds": trial["seconds"]}),
            parent=key,
            status="FAILED" if trial["state"] == "failed" else "FINISHED",
        )
        for rank, trial in enumerate(trials, start=1)
    ]
    return [parent, *children]


def _shared(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that every trial has, and the mean discrepancy of its held-out classes."""
    kept = {name: value for name, value in metrics.items() if not name.startswith(DISCREPANCY)}
    apart = [value for name, value in metrics.items() if name.startswith(DISCREPANCY)]
    return kept | ({"mmd": statistics.fmean(apart)} if apart else {})


def _verdict(verdict: Mapping[str, Any] | None) -> dict[str, float]:
    if verdict is None:
        return {}
    return {"confirmed": float(verdict["is_better"]), **{f"confirm/{n}": verdict[n] for n in ("difference", "low")}}


def _table(trials: Sequence[Mapping[str, Any]], objective: str) -> str:
    names = sorted({name for trial in trials for name in trial["settings"]})
    rows = []
    for trial in trials:
        score = _finite({objective: trial[objective]}).get(objective)
        chosen = (trial["settings"].get(name) for name in names)
        rows.append([trial["number"], *chosen, score, trial["state"], trial["seconds"], trial["error"]])
    return table_json(["number", *names, objective, "state", "seconds", "error"], rows)


def _finite(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def _digest_of(run_dir: RunDir, name: str) -> str:
    manifest = Manifest.read(run_dir.artefact(name))
    assert manifest is not None  # the stage is finished
    return manifest.digest


def _short_digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
