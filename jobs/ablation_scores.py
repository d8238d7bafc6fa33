"""The scores of an ablation: one pass over the cached predictions for all classifiers that have none yet."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster.storage import RunDir
from jobs.ablation_fits import Fit
from jobs.config import PipelineConfig
from jobs.rows import RowInputs, ScoredRow
from jobs.scoring import score_run, scored_tasks_digest
from jobs.shard import shard_classes
from pading.classes import ClassTable
from pading.evaluate.per_image import ImageScores
from pading.evaluate.row_scores import Asked
from pading.evaluate.score_files import read_scores, write_scores

ROWS_TOGETHER = 16  # in the driver's memory; opening a part costs as much as there are rows in it


def score_missing(config: PipelineConfig, run_dir: RunDir, fits: Sequence[Fit], folder: Path) -> None:
    """Score what has no scores yet; parts of a pass that was killed are found in `folder`, which ends empty.

    Raises:
        ValueError: if the images scored are not those of the val shards.
    """
    missing = [fit for fit in fits if not _scores_path(config, fit).is_file()]
    if not missing:
        return
    rows = [ScoredRow(folder=fit.folder, inference=config.inference) for fit in missing]
    inputs = RowInputs(classes=shard_classes(run_dir))
    scored = score_run(config, run_dir, rows, inputs, Asked(tasks=(config.task,)), folder)
    for start in range(0, len(missing), ROWS_TOGETHER):
        numbers = range(start, min(start + ROWS_TOGETHER, len(missing)))
        for number, scores in zip(numbers, scored.rows(numbers), strict=True):
            write_scores(_scores_path(config, missing[number]), [scores])
    shutil.rmtree(folder)


def scores_of(config: PipelineConfig, fit: Fit, classes: ClassTable) -> ImageScores:
    """Return the scores of a fit that has them."""
    (scores,) = read_scores(_scores_path(config, fit), classes)
    return scores.generalised[config.task]


def _scores_path(config: PipelineConfig, fit: Fit) -> Path:
    return fit.folder / f"scores-{scored_tasks_digest((config.task,), config.inference)}.npz"
