"""The search: Ray Tune over plain function trials that read cached features from the object store."""

import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from tuning.space import Space, current_point
from tuning.trial import HOLDOUT, OBJECTIVE, TrialInputs, run_trial


def sweep(
    inputs: TrialInputs,
    space: Space,
    *,
    trials: int,
    concurrent: int,
    storage: Path,
    name: str,
    seed: int,
    on_trial: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Run the search and return one record per trial, best first: settings, score, error, seconds.

    The settings as they are compete as the first trial. Trials that fail are reported and the search goes on; a killed
    search started again under the same name continues.

    Raises:
        RuntimeError: if no trial ended with a score.
    """
    trainable = tune.with_resources(tune.with_parameters(_trainable, inputs=inputs), {"cpu": 1})
    folder = storage / name
    if tune.Tuner.can_restore(str(folder)):
        tuner = tune.Tuner.restore(str(folder), trainable, resume_unfinished=True, restart_errored=True)
    else:
        tuner = tune.Tuner(
            trainable,
            param_space=dict(space),
            tune_config=tune.TuneConfig(
                metric=OBJECTIVE,
                mode="max",
                search_alg=OptunaSearch(seed=seed, points_to_evaluate=[current_point(inputs.config, space)]),
                num_samples=trials,
                max_concurrent_trials=concurrent,
            ),
            run_config=tune.RunConfig(name=name, storage_path=str(storage), verbose=0, callbacks=[_Ended(on_trial)]),
        )
    results = tuner.fit()
    records = [
        {
            "settings": result.config or {},
            OBJECTIVE: (result.metrics or {}).get(OBJECTIVE),
            "metrics": {
                key: value for key, value in (result.metrics or {}).items() if key.startswith(("accuracy/", HOLDOUT))
            },
            "seconds": (result.metrics or {}).get("time_total_s"),
            "error": str(result.error) if result.error else None,
        }
        for result in results
    ]
    if all(record[OBJECTIVE] is None for record in records):
        raise RuntimeError(f"none of {len(records)} trials ended with a score; the first error: {records[0]['error']}")
    return sorted(records, key=lambda record: -(-1.0 if record[OBJECTIVE] is None else record[OBJECTIVE]))


def winner(records: list[dict[str, Any]], current: dict[str, Any]) -> dict[str, Any]:
    """Return the best record, unless its lead over the `current` settings is within the noise of the hold-outs.

    Both saw the same hold-outs, so their scores are compared in pairs: the mean difference must exceed its standard
    error. With fewer than two hold-outs there is no error to compare with, and the best record wins.
    """
    start = next(
        (record for record in records if record["settings"] == current and record[OBJECTIVE] is not None), None
    )
    if start is None:
        return records[0]
    shared = [key for key in start["metrics"] if key.startswith(HOLDOUT) and key in records[0]["metrics"]]
    differences = [records[0]["metrics"][key] - start["metrics"][key] for key in shared]
    if len(differences) < 2:
        return records[0]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return records[0] if statistics.fmean(differences) > error else start


class _Ended(tune.Callback):
    """Tells how many trials have ended, well or not."""

    def __init__(self, on_trial: Callable[[int], None]) -> None:
        self.on_trial = on_trial
        self.ended = 0

    def _one_more(self) -> None:
        self.ended += 1
        self.on_trial(self.ended)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a trial that ran to its end."""
        self._one_more()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a trial that failed."""
        self._one_more()


def _trainable(settings: dict[str, Any], inputs: TrialInputs) -> None:
    torch.set_num_threads(1)
    for metrics in run_trial(inputs, settings):
        tune.report(metrics)
