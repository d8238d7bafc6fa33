"""Stage `fit`: rows of the table x profiles x seeds -> the classifiers that they read, each fitted by one Ray task.

A finished fit lies in the stage's unfinished work, so that a stage that was killed goes on with what is missing.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch

from cluster.session import connect
from cluster.storage import RunDir, clear_attempts, plain_name, write_json, written_once
from cluster.tasks import as_they_end
from jobs.config import PipelineConfig
from jobs.fit_inputs import read_fit_inputs
from jobs.progress import Progress
from jobs.rows import RECIPES
from jobs.sweep import is_leaky_sweep, winning_method
from pading.config import from_plain, override, to_plain
from pading.data.errors import DataError
from pading.zeroshot.classifier import save_classifier
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.generator_files import save_generator
from pading.zeroshot.methods import GENERATIVE, Method, MethodConfig, Profile, finish, fit_method, has_row
from pading.zeroshot.profiles import profile_config, with_steps

INDEX = "classifiers.json"
WORK = "fit"


def fit(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write one folder per fitted classifier, and an index of the rows that read them."""
    connect()
    best = override(winning_method(config, run_dir), {"profile": "best"})
    settings = {profile: profile_settings(config, profile, best) for profile in config.fit.profiles}
    rows = planned_rows(config)
    if is_leaky_sweep(config, run_dir):
        rows = [{**row, "leaky": True} if has_winner(row) else row for row in rows]
    fits = {row["folder"]: row for row in rows}  # rows that read one classifier share its folder
    places = {name: (run_dir.work(WORK) / name).resolve() for name in fits}
    missing = {name: row for name, row in fits.items() if not places[name].is_dir()}
    for name in missing:
        clear_attempts(places[name])
    inputs = ray.put(read_fit_inputs(run_dir))

    def submit(name: str) -> ray.ObjectRef:
        row = missing[name]
        method, profile = RECIPES[row["method"]].fitted, settings[row["profile"]]
        return _fit_one.remote(method, profile, row["seed"], inputs, places[name])

    num_fitted = len(fits) - len(missing)
    progress = Progress("fit classifiers", len(fits), begun=num_fitted)
    for count, (name, reference) in enumerate(as_they_end(submit, missing), start=num_fitted + 1):
        ray.get(reference)
        progress.update(count, name)
    for name, place in places.items():
        shutil.copytree(place, folder / name)
    write_json(
        folder / INDEX, {"rows": rows, "settings": {profile: to_plain(each) for profile, each in settings.items()}}
    )
    return {"classifiers": len(fits), "rows": len(rows)}


def planned_rows(config: PipelineConfig) -> list[dict[str, Any]]:
    """Return the rows of the run, each with the folder of the classifier that it reads.

    Rows whose classifier needs no generator exist once, under the first profile, the others under each.
    """
    return [
        {"method": name, "profile": profile, "seed": seed, "folder": f"{fitted}-{profile}-seed{seed}"}
        for number, profile in enumerate(config.fit.profiles)
        for name in config.fit.methods
        if has_row(fitted := RECIPES[name].fitted, profile) or (number == 0 and fitted not in GENERATIVE)
        for seed in config.fit.seeds
    ]


def has_winner(row: Mapping[str, Any]) -> bool:
    """Return whether the winner of the sweep is among the settings of a row."""
    return row["profile"] == "best" and RECIPES[row["method"]].fitted in GENERATIVE


def profile_settings(config: PipelineConfig, profile: Profile, best: MethodConfig) -> MethodConfig:
    """Return the settings of a profile in this run: its own, but for the budget and what the run decides.

    `best` is given. The others take their projection from it, which has no profile, and `released` is told how many
    queries an image has.
    """
    if profile == "best":
        return best
    settings = profile_config(profile, config.task)
    if config.fit.profile_steps:
        settings = with_steps(settings, config.fit.profile_steps)
    own = {"projection": best.projection, "released.head.queries_per_image": config.segmenter.queries}
    return override(settings, own)


def fitted_rows(run_dir: RunDir) -> list[dict[str, Any]]:
    """Return the index of rows: method, profile, seed, and the folder of the classifier.

    Raises:
        DataError: if the file is no such index, or names a folder elsewhere.
    """
    path = run_dir.artefact("classifiers") / INDEX
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
        for row in rows:
            plain_name(row["folder"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(str(path), f"is no index of classifiers ({error})", "run the stage 'fit' again") from error
    return rows


def fitted_settings(run_dir: RunDir, profile: Profile) -> MethodConfig:
    """Return the settings that the classifiers of a profile were fitted with."""
    settings = json.loads((run_dir.artefact("classifiers") / INDEX).read_text())["settings"]
    return from_plain(MethodConfig, settings[profile])


@ray.remote(num_cpus=1)
def _fit_one(method: Method, settings: MethodConfig, seed: int, inputs: FitInputs, folder: Path) -> None:
    with written_once(folder) as unfinished:
        fit_and_save(method, settings, seed, inputs, unfinished)


def fit_and_save(method: Method, settings: MethodConfig, seed: int, inputs: FitInputs, folder: Path) -> None:
    """Fit one row and write its classifier, and the generator if it has one."""
    torch.set_num_threads(1)
    features, text, head = inputs.tensors()
    fitted = finish(fit_method(method, settings, features, text, inputs.classes, head, seed, inputs.projection))
    save_classifier(folder, fitted.classifier)
    if fitted.generator is not None:
        save_generator(folder, fitted.generator)
