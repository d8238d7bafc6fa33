"""The fits of an ablation: one Ray task each, on cached features; a finished one is kept under what decides it."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
import torch

from cluster.storage import RunDir, clear_attempts, write_json, written_once
from cluster.tasks import as_they_end
from jobs.failures import root_cause
from jobs.fit_inputs import read_fit_inputs
from jobs.progress import Progress, complain
from pading.config import to_plain
from pading.data.errors import DataError
from pading.zeroshot.ablation import Variant
from pading.zeroshot.classifier import CONFIG_NAME, save_classifier
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import finish, fit_method

SCHEMA_VERSION = 1
RECORD = "fit.json"


@dataclass(frozen=True, kw_only=True)
class Fit:
    """One variant with one seed. `key` is a digest of everything that its classifier is a function of."""

    variant: Variant
    seed: int
    key: str
    folder: Path

    @property
    def is_done(self) -> bool:
        """Whether its classifier is there; folders appear whole."""
        return (self.folder / CONFIG_NAME).is_file() and (self.folder / RECORD).is_file()

    @property
    def name(self) -> str:
        """What to call it in a line for people."""
        return f"{self.variant.method} ({self.variant.settings.profile}), seed {self.seed}"

    @property
    def seconds(self) -> float:
        """How long it took, once it is done.

        Raises:
            DataError: if its record is damaged.
        """
        path = self.folder / RECORD
        try:
            return float(json.loads(path.read_text())["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                str(path), f"not the record of a fit ({error!r})", "delete its folder to fit again"
            ) from error


def planned_fits(
    variants: Sequence[Variant], seeds: Sequence[int], inputs: Mapping[str, str], folder: Path
) -> list[Fit]:
    """Return every fit of an ablation, variant by variant; `inputs` are the digests of what is fitted on."""
    fits = []
    for variant in variants:
        for seed in seeds:
            identity = [SCHEMA_VERSION, variant.method, to_plain(variant.settings), dict(inputs), seed]
            key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
            fits.append(Fit(variant=variant, seed=seed, key=key, folder=folder / key))
    return fits


def fit_missing(run_dir: RunDir, fits: Sequence[Fit]) -> dict[Fit, str]:
    """Make the classifiers that are not there yet, and return why some could not be made."""
    missing = [fit for fit in fits if not fit.is_done]
    if not missing:
        return {}
    for fit in missing:
        clear_attempts(fit.folder)
    inputs = ray.put(read_fit_inputs(run_dir))
    progress, failures = Progress("fits", len(missing)), dict[Fit, str]()
    finished = as_they_end(lambda fit: _fit_one.remote(inputs, fit), missing)
    for done, (fit, reference) in enumerate(finished, start=1):
        try:
            ray.get(reference)
        except Exception as error:  # whatever became of this fit, or of its worker, the others go on
            cause = root_cause(error)
            failures[fit] = " ".join(f"{type(cause).__name__}: {cause}".split())
            complain(f"  failed: {fit.name}: {failures[fit]}")
        progress.update(done, fit.name)
    return failures


@ray.remote(num_cpus=1)
def _fit_one(inputs: FitInputs, fit: Fit) -> None:
    fit_and_keep(inputs, fit)


def fit_and_keep(inputs: FitInputs, fit: Fit) -> None:
    """Fit one classifier and keep it.

    Raises:
        ValueError: if it gives a training feature no probability.
    """
    torch.set_num_threads(1)
    start, start_cpu = time.monotonic(), time.process_time()
    features, text, head = inputs.tensors()
    variant = fit.variant
    fitting = fit_method(
        variant.method, variant.settings, features, text, inputs.classes, head, fit.seed, inputs.projection
    )
    fitted = finish(fitting)
    with torch.no_grad():
        if fitted.classifier(features.embeddings).softmax(dim=1).isnan().any():  # a silenced class has -inf: no matter
            raise ValueError("the fit diverged: its classifier gives no probabilities; lower the learning rate")
    record = {
        "method": variant.method,
        "profile": variant.settings.profile,
        "seed": fit.seed,
        "seconds": round(time.monotonic() - start, 2),
        "cpu_seconds": round(time.process_time() - start_cpu, 2),
        "settings": to_plain(variant.settings),
    }
    with written_once(fit.folder) as folder:
        save_classifier(folder, fitted.classifier)
        write_json(folder / RECORD, record)
