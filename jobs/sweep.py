"""Stage `sweep`: search generator settings over the cached features; the winner feeds `fit`."""

import json
from pathlib import Path
from typing import Any

from cluster.session import connect
from cluster.storage import RunDir, write_json
from jobs.config import PipelineConfig
from jobs.fit_inputs import read_fit_inputs
from jobs.progress import Progress, say
from jobs.sweep_records import sweep_records
from jobs.tracker import send_all, tracker_of
from pading.config import override
from pading.zeroshot.methods import MethodConfig
from tuning.space import current_point, pading_space
from tuning.sweep import sweep, winner
from tuning.trial import OBJECTIVE, TrialInputs

BEST, TRIALS = "best.json", "trials.json"


def search(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write every trial and the winner's settings, and tell MLflow; the default settings compete as a trial, too."""
    connect()
    inputs = TrialInputs(
        cached=read_fit_inputs(run_dir),
        config=config.method,
        holdout_fraction=config.sweep.holdout_fraction,
        holdouts=config.sweep.holdouts,
        seed=config.seed,
    )
    records = sweep(
        inputs,
        pading_space(),
        trials=config.sweep.trials,
        concurrent=config.sweep.concurrent,
        storage=run_dir.work("sweep").resolve(),
        name="trials",
        seed=config.seed,
        on_trial=Progress("trials", config.sweep.trials).update,
    )
    best = winner(records, current_point(config.method, pading_space()))
    write_json(folder / TRIALS, records)
    write_json(folder / BEST, best)
    say(f"  {len(records)} trials; chosen ({OBJECTIVE} {best[OBJECTIVE]:.3f} on held-out classes): {best['settings']}")
    send_all(tracker_of(run_dir), sweep_records(config, run_dir, records, best), run_dir)
    return {"trials": len(records), "failed": sum(record["error"] is not None for record in records)}


def winning_method(config: PipelineConfig, run_dir: RunDir) -> MethodConfig:
    """Return the method settings with the sweep's winner applied."""
    best = json.loads((run_dir.artefact("sweep") / BEST).read_text())
    return override(config.method, best["settings"])
