"""ZegFormer's lambda and gamma, chosen on seen classes held out as pseudo-unseen, never on unseen ones.

The classifier is fitted without the held-out classes; truth, candidates and texts have no truly unseen class at all.
What stays: segmenter and CLIP did see the held-out classes, and the images are val images, whose seen classes the two
numbers are then scored on as well. So a choice is for comparing settings; its own scores predict nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import ray
import torch

from cluster.storage import RunDir
from cluster.tasks import as_they_end
from jobs.cache import prediction_files
from jobs.config import PipelineConfig
from jobs.fit import fitted_settings
from jobs.fit_inputs import read_fit_inputs
from jobs.progress import Progress, say
from jobs.rows import RECIPES, Recipe, RowInputs, grid_scorers
from pading.evaluate.grid import PENALTIES, WEIGHTS, GridPoint, best_point, mean_points, score_grid
from pading.evaluate.predictions import renumber_truth
from pading.randomness import derive_seed
from pading.zeroshot.classifier import of_classes
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import MethodConfig, finish, fit_method
from pading.zeroshot.pseudo_unseen import hold_out_classes, kept_classes, without_held_out
from pading.zeroshot.zegformer import ZegformerConfig

NUM_IMAGES = 200  # of the val images, the first


def choose_constants(
    config: PipelineConfig, run_dir: RunDir, rows: Iterable[Mapping[str, Any]], inputs: RowInputs
) -> dict[tuple[str, str], list[GridPoint]]:
    """Return the grid of each calibrated row's method and profile, a mean over `sweep.holdouts` hold-outs.

    Raises:
        ValueError: if no class can be held out.
    """
    wanted = dict.fromkeys((row["method"], row["profile"]) for row in rows if RECIPES[row["method"]].is_calibrated)
    if not wanted:
        return {}
    cached = ray.put(read_fit_inputs(run_dir))
    files = [path.resolve() for path in prediction_files(run_dir)]
    places = list(product(wanted, range(config.sweep.holdouts)))

    def submit(place: tuple[tuple[str, str], int]) -> ray.ObjectRef:
        (method, profile), number = place
        settings, seed = fitted_settings(run_dir, profile), derive_seed(config.seed, "hold-out", number)
        return _score_held_out.remote(RECIPES[method], settings, cached, inputs, config, files, seed)

    progress, grids = Progress("choose constants, hold-outs", len(places)), {}
    for place, reference in as_they_end(submit, places):
        grids[place] = ray.get(reference)
        progress.update(len(grids))
    means = {key: mean_points([grids[key, number] for number in range(config.sweep.holdouts)]) for key in wanted}
    for (method, profile), points in means.items():
        best = best_point(points)
        say(
            f"  {method} ({profile}): lambda {best.weight:.2f}, gamma {best.seen_penalty:g} "
            f"(harmonic mean {best.hm:.1f} with held-out classes as unseen ones)"
        )
    return means


def described(grids: Mapping[tuple[str, str], list[GridPoint]]) -> list[dict[str, Any]]:
    """Return what was chosen, and from what, for JSON."""
    return [
        {
            "method": method,
            "profile": profile,
            "chosen": asdict(best_point(points)),
            "grid": [asdict(point) for point in points],
        }
        for (method, profile), points in grids.items()
    ]


def grid_of(recipe: Recipe) -> list[tuple[float, float]]:
    """Return the constants that matter to a recipe: lambda where branches are fused, gamma where it is taken."""
    weights = WEIGHTS if recipe.branches == "both" else (ZegformerConfig().weight,)
    return list(product(weights, PENALTIES if recipe.is_penalised else (0.0,)))


@ray.remote(num_cpus=1)
def _score_held_out(
    recipe: Recipe,
    settings: MethodConfig,
    cached: FitInputs,
    inputs: RowInputs,
    config: PipelineConfig,
    files: list[Path],
    seed: int,
) -> list[GridPoint]:
    torch.set_num_threads(1)
    return score_held_out(recipe, settings, cached, inputs, config, files, seed)


def score_held_out(
    recipe: Recipe,
    settings: MethodConfig,
    cached: FitInputs,
    inputs: RowInputs,
    config: PipelineConfig,
    files: list[Path],
    seed: int,
) -> list[GridPoint]:
    """Return the grid of a recipe on one hold-out.

    Raises:
        ValueError: if no class can be held out.
    """
    classes = cached.classes
    pseudo = hold_out_classes(classes, config.sweep.holdout_fraction, seed)
    kept = kept_classes(classes, pseudo)
    features, text, head = without_held_out(cached.tensors(), classes, pseudo)
    own = None if cached.projection is None else of_classes(cached.projection, kept)
    classifier = finish(fit_method(recipe.fitted, settings, features, text, pseudo, head, seed, own)).classifier
    region_text = None if inputs.region_text is None else inputs.region_text[kept]
    inputs = replace(inputs, classes=pseudo, region_text=region_text)
    grid = grid_of(recipe)
    scorers = grid_scorers("held out", recipe, grid, config.zegformer, classifier, config.inference, inputs)
    numbers = [kept.index(index) if index in kept else -1 for index in range(classes.num_classes)]
    images = inputs.first_images(files, NUM_IMAGES)
    return score_grid((renumber_truth(image, numbers) for image in images), grid, scorers, pseudo, config.task)
