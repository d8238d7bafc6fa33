"""Stage `fit`: every method of the table x every seed -> a classifier, each fitted by one Ray task."""

import json
from pathlib import Path
from typing import Any

import ray
import torch

from cluster.session import connect
from cluster.storage import RunDir, write_json
from jobs.cache import feature_files
from jobs.config import PipelineConfig
from jobs.embed import read_embeddings
from jobs.progress import Progress
from jobs.shard import shard_classes
from jobs.sweep import winning_method
from pading.config import from_plain, to_plain
from pading.segmenter.weights import load_segmenter
from pading.zeroshot.classifier import LinearClassifier, save_classifier
from pading.zeroshot.features import read_features
from pading.zeroshot.generator_files import save_generator
from pading.zeroshot.methods import Method, MethodConfig, finish, fit_method

INDEX = "classifiers.json"


def fit(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write one folder per (method, seed), and an index of them."""
    connect()
    settings = winning_method(config, run_dir)
    rows = [
        {
            "method": method,
            "profile": settings.profile,
            "seed": seed,
            "folder": f"{method}-{settings.profile}-seed{seed}",
        }
        for method in config.fit.methods
        for seed in config.fit.seeds
    ]
    pending = {
        _fit_one.remote(row["method"], settings, row["seed"], run_dir, (folder / row["folder"]).resolve()): row
        for row in rows
    }
    progress = Progress("fit classifiers", len(rows))
    waiting = list(pending)
    while waiting:
        done, waiting = ray.wait(waiting)
        ray.get(done)
        progress.update(len(rows) - len(waiting), pending[done[0]]["folder"])
    write_json(folder / INDEX, {"rows": rows, "settings": to_plain(settings)})
    return {"classifiers": len(rows)}


def fitted_rows(run_dir: RunDir) -> list[dict[str, Any]]:
    """Return the index of fitted classifiers: method, profile, seed, folder."""
    rows: list[dict[str, Any]] = json.loads((run_dir.artefact("classifiers") / INDEX).read_text())["rows"]
    return rows


def fitted_settings(run_dir: RunDir) -> MethodConfig:
    """Return the settings that the classifiers were fitted with."""
    return from_plain(MethodConfig, json.loads((run_dir.artefact("classifiers") / INDEX).read_text())["settings"])


@ray.remote(num_cpus=1)
def _fit_one(method: Method, settings: MethodConfig, seed: int, run_dir: RunDir, folder: Path) -> None:
    torch.set_num_threads(1)
    head = load_segmenter(run_dir.artefact("segmenter")).class_head
    fitted = finish(
        fit_method(
            method,
            settings,
            read_features(feature_files(run_dir)),
            torch.from_numpy(read_embeddings(run_dir).matrix),
            shard_classes(run_dir),
            LinearClassifier(head.weight, head.bias),
            seed,
        )
    )
    save_classifier(folder, fitted.classifier)
    if fitted.generator is not None:
        save_generator(folder, fitted.generator)
