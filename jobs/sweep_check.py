"""`pading check-sweep`: whether pseudo-unseen scores order settings as truly unseen classes do. Chooses nothing.

Every trial of a finished sweep is fitted again on all seen classes and scored on the queries of val images, unseen
classes among them. The answer says how far a sweep of this run can be trusted; feeding it back would be a leak.
"""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import scipy.stats
import torch

from cluster.session import connect
from cluster.storage import Manifest, RunDir, plain_name, write_json
from cluster.tasks import as_they_end
from jobs.config import PipelineConfig, read_config
from jobs.progress import Progress, say
from jobs.sweep import SWEEP, SWEEPS, TRIALS, labelled_val, trial_inputs
from jobs.sweep_config import SweepConfig
from pading.config import from_plain
from pading.data.errors import DataError, MissingFileError
from pading.zeroshot.methods import MethodConfig
from tuning.trial import TrialInputs, judge, metric_of

FOLDER = "diagnostics"
TRUE = metric_of("hm")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckSweep:
    """Compare the pseudo-unseen scores of a finished sweep with those of truly unseen classes, after the fact."""

    run_dir: Path
    """A run with a finished sweep."""
    name: str = ""
    """Of a sweep beside the pipeline's own."""
    seeds: int = 1
    """Fits of each trial's settings, whose mean is taken."""


def check_sweep(command: CheckSweep) -> None:
    """Say by Spearman's rank correlation whether pseudo-unseen scores order trials as truly unseen classes do.

    Raises:
        MissingFileError: if there is no such sweep.
        DataError: if its trials are not what `sweep` writes.
        ValueError: if fewer than three trials were judged on every hold-out, or no seed is asked for.
    """
    if command.seeds < 1:
        raise ValueError(f"--seeds is {command.seeds}: fit each trial once at least")
    run_dir = RunDir(command.run_dir.absolute())
    name = f"{SWEEPS}/{plain_name(command.name)}" if command.name else SWEEP
    file = run_dir.artefact(name) / TRIALS
    trials = [trial for trial in _read_trials(file) if trial["state"] == "complete"]
    if len(trials) < 3:
        raise ValueError(f"{file} has {len(trials)} trials that were judged on every hold-out; compare three at least")
    connect()
    inputs = trial_inputs(_swept_config(run_dir, name), run_dir)
    truly_unseen = dataclasses.replace(inputs, leaked=labelled_val(inputs.cached, run_dir))
    found = checked(truly_unseen, trials, command.seeds)
    (run_dir.artefact(FOLDER) / name).parent.mkdir(parents=True, exist_ok=True)
    output = run_dir.artefact(FOLDER) / f"{name}.json"
    write_json(output, found)
    for objective, rank in found["rank_correlation"].items():
        say(f"  {objective}: rank correlation {rank:+.2f} with {TRUE} of truly unseen classes, {len(trials)} trials")
    say(f"{output}")


def checked(inputs: TrialInputs, trials: Sequence[Mapping[str, Any]], seeds: int) -> dict[str, Any]:
    """Return each trial's mean scores beside those on the truly unseen classes of `inputs`, and how orders agree."""
    shared = ray.put(inputs)
    fits = [(place, seed) for place in range(len(trials)) for seed in range(seeds)]
    progress, scores = Progress("fit trials on all seen classes", len(fits)), dict[tuple[int, int], dict[str, float]]()
    for fit, reference in as_they_end(
        lambda fit: _true_scores.remote(shared, dict(trials[fit[0]]["settings"]), fit[1]), fits
    ):
        scores[fit] = ray.get(reference)
        progress.update(len(scores))
    true = [
        {name: statistics.fmean(scores[place, seed][name] for seed in range(seeds)) for name in scores[place, 0]}
        for place in range(len(trials))
    ]
    objectives = [name for name in true[0] if name.startswith("accuracy/")]
    return {
        "rank_correlation": {
            name: float(
                scipy.stats.spearmanr([trial["metrics"][name] for trial in trials], [one[TRUE] for one in true])[0]
            )
            for name in objectives
        },
        "trials": [
            {"number": trial["number"], "settings": trial["settings"], "pseudo": trial["metrics"], "true": one}
            for trial, one in zip(trials, true, strict=True)
        ],
    }


def _swept_config(run_dir: RunDir, name: str) -> PipelineConfig:
    """Return the run's configuration with the settings that the sweep had, which need not be the run's last ones."""
    manifest = Manifest.read(run_dir.artefact(name))
    if manifest is None:
        raise MissingFileError(str(run_dir.artefact(name)), "holds no finished sweep", "run the stage 'sweep' first")
    config, settings = read_config(run_dir), manifest.settings
    method = from_plain(MethodConfig, settings["method"])
    rows = SweepConfig(max_feature_rows=settings["sweep"]["max_feature_rows"])
    return dataclasses.replace(config, method=method, seed=settings["seed"], sweep=rows)


def _read_trials(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        raise MissingFileError(str(file), "no such file", "give the --run-dir and the --name of a finished sweep")
    try:
        trials: list[dict[str, Any]] = json.loads(file.read_text())
        for trial in trials:
            if not isinstance(trial["settings"], dict) or not isinstance(trial["metrics"], dict):
                raise ValueError("a trial has settings and metrics")
            trial["settings"] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in trial["settings"].items()
            }
            if not {"state", "number"} <= trial.keys():
                raise ValueError("a trial has a number and a state")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(str(file), f"is no list of trials ({error!r})", "run the stage 'sweep' again") from error
    return trials


@ray.remote(num_cpus=1)
def _true_scores(inputs: TrialInputs, settings: dict[str, Any], seed: int) -> dict[str, float]:
    torch.set_num_threads(1)
    return judge(inputs, settings, seed).scores()
