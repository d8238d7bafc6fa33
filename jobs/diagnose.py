"""Verb `diagnose`: why a fitted method does what it does; its synthetic features beside real ones, its primitives.

It looks at real features of unseen classes, which no fit may: read it to understand a result, never to choose settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from cluster.storage import Manifest, RunDir, write_json, written_whole
from jobs.cache import prediction_files
from jobs.config import PipelineConfig, read_config
from jobs.diagnosis_page import diagnosis_page, sentences
from jobs.fit import fitted_rows, fitted_settings
from jobs.fit_inputs import read_fit_inputs
from jobs.model import row_of
from jobs.progress import say
from jobs.row_records import leaderboard_records
from jobs.shard import shard_classes
from jobs.tracker import tracker_of
from pading.evaluate.leaderboard import write_whole
from pading.evaluate.matched import all_matched_queries
from pading.evaluate.predictions import ImagePrediction, read_predictions
from pading.zeroshot.classifier import load_classifier
from pading.zeroshot.diagnostics.diagnosis import look_into
from pading.zeroshot.features import split_by_image
from pading.zeroshot.generator_files import load_generator
from pading.zeroshot.methods import GENERATIVE, Fitted, Method, finish, fit_method

FOLDER = "diagnostics"
HELD_OUT_SHARE = 0.2  # of the training images


@dataclass(frozen=True, kw_only=True)
class Diagnose:
    """Compare the synthetic features of a fitted method with real ones, and show what its primitives do."""

    preset: tyro.conf.Positional[str] = "shapes"
    """Only says where the run lies, if --run-dir does not."""
    run_dir: Path | None = None
    """A run directory whose `fit` stage is finished; runs/PRESET by default."""
    method: Method = "pading"
    """Row of the leaderboard to look into; one that has a generator."""
    profile: str = ""
    """Profile of that row; empty: the first that was fitted."""
    seed: Annotated[int, tyro.conf.arg(help="Seed of that row.")] = 0
    images: int = 500
    """Val images, from the first on, whose queries are the real features to compare with."""


def diagnose(command: Diagnose) -> None:
    """Write `diagnostics/ROW/` of a run: diagnostics.html, diagnostics.json and its pictures.

    Raises:
        FileNotFoundError: if there is no such run.
        ValueError: if the run has no such row, or the row has no generator.
    """
    # Takes a second, which no other verb should wait for.
    from jobs.diagnosis_pictures import draw_discrepancies, draw_responses
    from jobs.diagnosis_plane import draw_plane

    run_dir = RunDir((command.run_dir or Path("runs") / command.preset).absolute())
    config, classes = read_config(run_dir), shard_classes(run_dir)
    row = _row_asked_for(run_dir, command)
    say(f"fit {row['folder']} again, with four fifths of the training images")
    fitted = saved_fit(run_dir, row)
    features, text, head = read_fit_inputs(run_dir).tensors()
    rest, held_out = split_by_image(features, HELD_OUT_SHARE, command.seed)
    settings = fitted_settings(run_dir, row["profile"])
    torch.set_num_threads(1)  # thousands of tiny operations: a second thread only waits
    without = finish(fit_method(row["method"], settings, rest, text, classes, head, row["seed"]))
    say(f"  compare with {len(held_out)} held-out features and the queries of up to {command.images} val images")
    val = all_matched_queries(islice(_predictions(run_dir), command.images))
    if not len(val):
        say("  warning: no query covers a true segment of these images by more than half; the segmenter is too weak")
    diagnosis = look_into(fitted, without, held_out, val, text, classes, command.seed)
    folder = run_dir.artefact(FOLDER) / row["folder"]
    folder.parent.mkdir(exist_ok=True)
    with written_whole(folder) as unfinished:
        pictures = {
            "tsne.png": draw_plane(diagnosis, command.seed),
            "discrepancy.png": draw_discrepancies(diagnosis),
            "responses.png": draw_responses(diagnosis),
        }
        for name, figure in pictures.items():
            if figure is not None:
                figure.savefig(unfinished / name, dpi=110)
        write_json(unfinished / "diagnostics.json", {**row, **diagnosis.as_plain()})
        write_whole(unfinished / "diagnostics.html", diagnosis_page(diagnosis, row, unfinished))
    for line in sentences(diagnosis.summary()):
        say(f"  {line}")
    _attach(run_dir, config, row, folder)
    say(f"{folder / 'diagnostics.html'}")


def saved_fit(run_dir: RunDir, row: dict[str, Any]) -> Fitted:
    """Return classifier and generator of a row, as the stage `fit` left them."""
    folder = run_dir.artefact("classifiers") / row["folder"]
    return Fitted(load_classifier(folder), load_generator(folder))


def _row_asked_for(run_dir: RunDir, command: Diagnose) -> dict[str, Any]:
    """Return the entry of the fitted classifier.

    Raises:
        ValueError: if there is none, or its method has no generator.
    """
    if command.method not in GENERATIVE:
        raise ValueError(f"{command.method!r} has no generator to look into; choose one of {', '.join(GENERATIVE)}")
    if command.images < 1:
        raise ValueError(f"--images is {command.images}: look at one image at least")
    return row_of(fitted_rows(run_dir), command.method, command.profile, command.seed)


def _predictions(run_dir: RunDir) -> Iterator[ImagePrediction]:
    for path in prediction_files(run_dir):
        yield from read_predictions(path)


def _attach(run_dir: RunDir, config: PipelineConfig, row: dict[str, Any], folder: Path) -> None:
    """Add the folder to the MLflow run of this row, if it was evaluated; of several tasks, to that of the first."""
    if Manifest.read(run_dir.artefact("evaluation")) is None:
        return
    parent, *rows = leaderboard_records(config, run_dir)
    keys = ("method", "profile", "seed")
    scored = [record for record in rows if all(record.tags[key] == str(row[key]) for key in keys)]
    if not scored:
        return
    tracker = tracker_of(run_dir)
    tracker.record(parent)
    if tracker.record(replace(scored[0], artifacts=[folder])):
        say("  attached to its MLflow run")
