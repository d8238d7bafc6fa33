"""The scores of an ablation: one pass over the cached predictions for all classifiers that have none yet."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster.storage import RunDir
from jobs.ablation_fits import Fit
from jobs.config import PipelineConfig
from jobs.scoring import ScoredRow, score_all, scored_tasks_digest
from pading.classes import ClassTable
from pading.evaluate.per_image import ImageScores
from pading.evaluate.row_scores import Asked
from pading.evaluate.score_files import read_scores, write_scores


def score_missing(config: PipelineConfig, run_dir: RunDir, fits: Sequence[Fit], folder: Path) -> None:
    """Score what has no scores yet; parts of a pass that was killed are found in `folder`, which ends empty.

    Raises:
        ValueError: if the images scored are not those of the val shards.
    """
    missing = [fit for fit in fits if not _scores_path(config, fit).is_file()]
    if not missing:
        return
    rows = [ScoredRow(folder=fit.folder, inference=config.inference) for fit in missing]
    scored = score_all(config, run_dir, rows, Asked(tasks=(config.task,)), folder)
    for number, fit in enumerate(missing):
        write_scores(_scores_path(config, fit), [scored.row(number)])
    shutil.rmtree(folder)


def scores_of(config: PipelineConfig, fit: Fit, classes: ClassTable) -> ImageScores:
    """Return the scores of a fit that has them."""
    (scores,) = read_scores(_scores_path(config, fit), classes)
    return scores.generalised[config.task]


def _scores_path(config: PipelineConfig, fit: Fit) -> Path:
    return fit.folder / f"scores-{scored_tasks_digest((config.task,), config.inference)}.npz"
