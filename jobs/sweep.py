"""Stage `sweep`: search generator settings over the cached features; the winner feeds `fit`."""

import json
from pathlib import Path
from typing import Any

from cluster.session import connect
from cluster.storage import RunDir, write_json
from jobs.cache import feature_files
from jobs.config import PipelineConfig
from jobs.embed import read_embeddings
from jobs.progress import Progress, say
from jobs.shard import shard_classes
from pading.config import override
from pading.segmenter.weights import load_segmenter
from pading.zeroshot.features import read_features
from pading.zeroshot.methods import MethodConfig
from tuning.space import current_point, pading_space
from tuning.sweep import sweep, winner
from tuning.trial import OBJECTIVE, TrialInputs

BEST, TRIALS = "best.json", "trials.json"


def search(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write every trial and the winner's settings; the default settings compete as a trial of their own."""
    connect()
    features = read_features(feature_files(run_dir))
    head = load_segmenter(run_dir.artefact("segmenter")).class_head
    inputs = TrialInputs(
        embeddings=features.embeddings.numpy(),
        labels=features.labels.numpy(),
        image_ids=features.image_ids.numpy(),
        text=read_embeddings(run_dir).matrix,
        head_weight=head.weight.detach().numpy(),
        head_bias=head.bias.detach().numpy(),
        classes=shard_classes(run_dir),
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
    return {"trials": len(records), "failed": sum(record["error"] is not None for record in records)}


def winning_method(config: PipelineConfig, run_dir: RunDir) -> MethodConfig:
    """Return the method settings with the sweep's winner applied."""
    best = json.loads((run_dir.artefact("sweep") / BEST).read_text())
    return override(config.method, best["settings"])
