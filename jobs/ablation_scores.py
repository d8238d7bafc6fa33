"""The scores of an ablation: one pass over the cached predictions for all classifiers that have none yet."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import ray
import torch

from cluster.storage import RunDir
from jobs.ablation_fits import Fit
from jobs.cache import prediction_files
from jobs.config import PipelineConfig
from jobs.progress import Progress
from jobs.shard import shard_classes, shard_index
from pading.classes import ClassTable
from pading.config import to_plain
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.per_image import ImageScores, score_image
from pading.evaluate.predictions import num_groups, read_predictions
from pading.evaluate.score_files import read_scores, write_scores
from pading.evaluate.scorer import head_scorer
from pading.splits.split import Task
from pading.zeroshot.classifier import load_classifier

GROUPS_PER_PART = 4  # row groups that one task scores: small enough to spread, large enough to load classifiers for


def score_missing(config: PipelineConfig, run_dir: RunDir, fits: Sequence[Fit], folder: Path) -> None:
    """Score what has no scores yet; parts of a pass that was killed are found in `folder`, which ends empty.

    Raises:
        ValueError: if the number of images scored is not the number of val images in the shards.
    """
    missing = [fit for fit in fits if not _scores_path(config, fit).is_file()]
    if not missing:
        return
    classes = shard_classes(run_dir)
    pass_key = hashlib.sha256(" ".join(fit.key for fit in missing).encode()).hexdigest()[:16]
    parts_folder = folder / f"{_scoring_digest(config)}-{pass_key}"
    parts_folder.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for path in prediction_files(run_dir):
        for start in range(0, total := num_groups(path), GROUPS_PER_PART):
            part = (parts_folder / f"{path.stem}-{start:05d}.npz").resolve()
            tasks[part] = (path.resolve(), range(start, min(start + GROUPS_PER_PART, total)))
    classifiers = [fit.folder.resolve() for fit in missing]
    pending = [
        _score_part.remote(part, path, groups, classifiers, classes, config.task, config.inference)
        for part, (path, groups) in tasks.items()
        if not part.is_file()
    ]
    begun, done = len(tasks) - len(pending), len(tasks) - len(pending)
    progress = Progress(f"score {len(missing)} classifiers, parts", len(tasks), begun=begun)
    while pending:
        finished, pending = ray.wait(pending)
        ray.get(finished)
        done += 1
        progress.update(done)
    parts = [read_scores(part, config.task, classes.num_classes) for part in tasks]
    expected = shard_index(config, run_dir, "val").num_images
    for fit, column in zip(missing, zip(*parts, strict=True), strict=True):
        scores = ImageScores.concatenate(column)
        if len(scores.image_ids) != expected:
            raise ValueError(
                f"{len(scores.image_ids)} images scored, the val shards hold {expected}; redo the cache stage"
            )
        write_scores(_scores_path(config, fit), [scores])
    shutil.rmtree(folder)


def scores_of(config: PipelineConfig, fit: Fit, classes: ClassTable) -> ImageScores:
    """Return the scores of a fit that has them."""
    (scores,) = read_scores(_scores_path(config, fit), config.task, classes.num_classes)
    return scores


def _scores_path(config: PipelineConfig, fit: Fit) -> Path:
    return fit.folder / f"scores-{_scoring_digest(config)}.npz"


def _scoring_digest(config: PipelineConfig) -> str:
    """Digest what decides scores besides classifier and predictions."""
    return hashlib.sha256(json.dumps([config.task, to_plain(config.inference)]).encode()).hexdigest()[:8]


@ray.remote(num_cpus=1)
def _score_part(
    part: Path,
    predictions: Path,
    groups: Sequence[int],
    classifiers: list[Path],
    classes: ClassTable,
    task: Task,
    config: InferenceConfig,
) -> None:
    """Score some images by all classifiers; the work on an image is shared by all."""
    torch.set_num_threads(1)
    scorers = [head_scorer(path.name, load_classifier(path), config) for path in classifiers]
    images = [score_image(image, scorers, classes, task) for image in read_predictions(predictions, groups)]
    write_scores(part, [ImageScores.concatenate(column) for column in zip(*images, strict=True)])
