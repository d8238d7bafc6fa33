"""How long a stage may take and what it leaves on disk: measured costs (`estimates.json`) times what a run asks for.

Estimates, not promises: costs grow with pixels as convolutions do, and parallel stages are taken to use every core.
What was never measured, such as training on GPUs, has no time here.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cluster.resources import Offer
from jobs.config import PipelineConfig, scored_tasks, split_of
from jobs.fit import planned_rows
from pading.splits.split import Split

MEASURED = Path(__file__).with_name("estimates.json")
MASK_STRIDE, MASK_BYTES, FLOAT_BYTES = 4, 2, 4
CLIP_WIDTH = 512
CHECKPOINT_SHARE = 6  # two checkpoints of weights and two moments, while the training lasts


class Images(NamedTuple):
    """How many images a run reads: of the train folder, those kept of it, and of the val folder."""

    found: int
    kept: int
    val: int


class Estimate(NamedTuple):
    """Seconds of wall clock, None where nothing like it was measured; and bytes."""

    seconds: float | None
    num_bytes: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, seen by what its stages cost. `costs` are the measured ones, `cpus` how many cores work at a time."""

    config: PipelineConfig
    images: Images
    costs: Mapping[str, Any]
    cpus: float
    has_gpus: bool


def estimate(stage: str, config: PipelineConfig, offer: Offer, *, has_gpus: bool) -> Estimate:
    """Return what a stage may take; nothing is known of a stage that was never measured, or of unknown images."""
    images = count_images(config)
    if stage not in STAGES or images is None:
        return Estimate(None, 0)
    costs = json.loads(MEASURED.read_text())
    run = Run(config=config, images=images, costs=costs, cpus=max(offer.total("CPU"), 1), has_gpus=has_gpus)
    cost = STAGES[stage](run)
    seconds = None if cost.seconds is None else cost.seconds + costs["start_s"]["stages"][stage]
    return Estimate(seconds, cost.num_bytes)


def count_images(config: PipelineConfig) -> Images | None:
    """Return how many images there will be: drawn, published for the split, or found in the folders; else None."""
    if config.is_synthetic:
        num_train, rate = config.shapes.num_train, config.shapes.train_unseen_rate
        return Images(num_train, round(num_train * (1 - rate)), config.shapes.num_val)
    split = split_of(config)
    root = Path(config.data.root)
    if config.data.root and (root / split.train).is_dir() and (root / split.val).is_dir():
        train, val = (sum(1 for _ in (root / folder).iterdir()) for folder in (split.train, split.val))
        return Images(train, min(_published(split, "train", "kept") or train, train), val)
    found, kept = _published(split, "train", "images"), _published(split, "train", "kept")
    val = _published(split, "val", "kept") or _published(split, "val", "images")
    return Images(found, kept or found, val) if found and val else None


def _published(split: Split, part: str, what: str) -> int:
    counts = [each.count for each in split.expected if (each.part, each.what) == (part, what)]
    return counts[0] if counts else 0


def _image_costs(run: Run) -> Mapping[str, Any]:
    costs: Mapping[str, Any] = run.costs["images"]["shapes" if run.config.is_synthetic else "coco"]
    return costs


def _drawing(run: Run) -> Estimate:
    costs, number = _image_costs(run), run.images.found + run.images.val
    return Estimate(number * costs["draw_s"] / run.cpus, number * costs["photo_bytes"])


def _verifying(run: Run) -> Estimate:
    seconds_each = _image_costs(run)["shard_s" if run.config.data.deep else "verify_s"]
    return Estimate((run.images.found + run.images.val) * seconds_each / run.cpus, 0)


def _sharding(run: Run) -> Estimate:
    costs, number = _image_costs(run), run.images.kept + run.images.val
    return Estimate(number * costs["shard_s"] / run.cpus, number * costs["shard_bytes"])


def _embedding(run: Run) -> Estimate:
    trains = run.config.is_synthetic and not (run.config.embed.file or run.config.embed.model)
    steps = run.config.embed.clip.steps if trains else 0
    return Estimate(steps * run.costs["fits"]["clip_step_s"], run.costs["bytes"]["text"] if trains else 1e6)


def _pretraining(run: Run) -> Estimate:
    cost = _segmenter_cost(run, "train_s")
    workers = min(run.config.pretrain.workers * run.config.pretrain.threads_per_worker, run.cpus)
    seconds = None if cost is None else run.images.kept * run.config.pretrain.epochs * cost / workers
    return Estimate(seconds, _weights_bytes(run) * CHECKPOINT_SHARE)


def _caching(run: Run) -> Estimate:
    cost = _segmenter_cost(run, "cache_s")
    seconds = (
        None if cost is None else (run.images.kept + run.images.val) * cost / min(run.config.cache.actors, run.cpus)
    )
    config, costs = run.config, run.costs["bytes"]
    features = run.images.kept * costs["features_per_image"] * config.segmenter.width * FLOAT_BYTES
    masks = run.images.val * config.segmenter.queries * (config.data.input_px // MASK_STRIDE) ** 2 * MASK_BYTES
    return Estimate(seconds, features + masks * costs["prediction_per_mask_byte"])


def _encoding_regions(run: Run) -> Estimate:
    """Only the shapes world's own CLIP was measured; a width that is not known yet is taken to be CLIP's usual 512."""
    regions, masks = run.config.regions, run.images.val * run.config.segmenter.queries * len(run.config.regions.styles)
    own = run.config.is_synthetic and not regions.model
    width = run.config.embed.clip.embed_dim if own else CLIP_WIDTH
    seconds = masks * run.costs["fits"]["region_s"] / min(regions.actors, run.cpus) if own else None
    return Estimate(seconds, masks * width * MASK_BYTES)


def _sweeping(run: Run) -> Estimate:
    sweep = run.config.sweep
    num_fits = sweep.trials * sweep.holdouts + 2 * sweep.confirm
    seconds = num_fits * run.costs["fits"]["trial_s"] * _step_share(run)
    return Estimate(seconds / min(sweep.concurrent, run.cpus), 1e6)


def _fitting(run: Run) -> Estimate:
    rows = len(planned_rows(run.config))
    seconds = rows * run.costs["fits"]["row_s"] * _step_share(run)
    return Estimate(seconds / min(rows, run.cpus), rows * run.costs["bytes"]["row"])


def _evaluating(run: Run) -> Estimate:
    scores = run.images.val * len(planned_rows(run.config)) * len(scored_tasks(run.config))
    return Estimate(scores * run.costs["fits"]["score_s"] / run.cpus, run.costs["bytes"]["page"])


def _publishing(run: Run) -> Estimate:
    return Estimate(0, run.costs["bytes"]["page"])


STAGES: dict[str, Callable[[Run], Estimate]] = {
    "shapes": _drawing,
    "verify": _verifying,
    "shard": _sharding,
    "embed": _embedding,
    "pretrain": _pretraining,
    "cache": _caching,
    "regions": _encoding_regions,
    "sweep": _sweeping,
    "fit": _fitting,
    "evaluate": _evaluating,
    "leaderboard": _publishing,
}


def _segmenter_cost(run: Run, name: str) -> float | None:
    """Return the CPU seconds of an image at the run's size; None on GPUs, and for backbones that were not measured."""
    costs = run.costs["segmenters"].get(run.config.segmenter.backbone)
    if run.has_gpus or costs is None:
        return None
    return float(costs[name] * (run.config.data.input_px / costs["side_px"]) ** 2)


def _weights_bytes(run: Run) -> float:
    costs = run.costs["segmenters"]
    return float(costs.get(run.config.segmenter.backbone, costs["resnet50"])["weights_bytes"])


def _step_share(run: Run) -> float:
    """Return the steps of a generator's fit over those of the measured one."""
    return float(run.config.method.generator.steps / run.costs["fits"]["generator_steps"])
