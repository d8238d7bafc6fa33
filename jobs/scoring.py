"""One pass over the cached predictions that scores any number of rows: Ray tasks, each for a few row groups.

What a task found lies in a file, so that a pass that was killed goes on where it was. Reports read the files row by
row: memory depends neither on the number of images at work nor on how many rows there are.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import ray
import torch

from cluster.filesystem import open_location
from cluster.storage import RunDir
from cluster.tasks import as_they_end
from jobs.cache import prediction_files
from jobs.config import PipelineConfig
from jobs.progress import Progress
from jobs.rows import RowInputs, ScoredRow, scorer_of
from jobs.shard import shard_files, shard_folder
from pading.classes import ClassTable
from pading.config import to_plain
from pading.data.shards.rows import read_rows
from pading.data.threads import map_in_threads
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import num_groups
from pading.evaluate.row_scores import Asked, RowScores
from pading.evaluate.score_files import SCHEMA_VERSION, read_scores, write_scores
from pading.evaluate.scoring_pass import score_images
from pading.splits.split import Task

GROUPS_PER_PART = 4  # row groups that one task scores: small enough to spread, large enough to load classifiers for


@dataclass(frozen=True, kw_only=True)
class ScoringPass:
    """A finished pass: its parts, on the images that had to be scored."""

    parts: tuple[Path, ...]
    classes: ClassTable
    image_ids: tuple[int, ...]

    def rows(self, numbers: Sequence[int]) -> list[RowScores]:
        """Return the scores of the pass's rows of these numbers; each part is opened once for all of them.

        Raises:
            ValueError: if the images scored are not those of the val shards, each once, or a part is damaged.
        """
        by_part = [read_scores(part, self.classes, numbers) for part in self.parts]
        rows = [RowScores.concatenate([scores[place] for scores in by_part]) for place in range(len(numbers))]
        for one in (one for row in rows for one in row.generalised.values()):
            _require_same_images(one.image_ids, self.image_ids)
        return rows


def score_run(
    config: PipelineConfig, run_dir: RunDir, rows: Sequence[ScoredRow], inputs: RowInputs, asked: Asked, folder: Path
) -> ScoringPass:
    """Score rows on every val image of a run; parts of a pass that was killed are found in `folder`."""
    return score_predictions(prediction_files(run_dir), _val_image_ids(config, run_dir), rows, inputs, asked, folder)


def score_predictions(
    files: Sequence[Path],
    image_ids: Sequence[int],
    rows: Sequence[ScoredRow],
    inputs: RowInputs,
    asked: Asked,
    folder: Path,
) -> ScoringPass:
    """Score rows on files of predictions, which must be of these images."""
    parts_folder = folder / pass_key(rows, asked)
    parts_folder.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for path, total in zip(files, map_in_threads(num_groups, files), strict=True):
        for start in range(0, total, GROUPS_PER_PART):
            part = (parts_folder / f"{path.stem}-{start:05d}.npz").resolve()
            tasks[part] = (path.resolve(), range(start, min(start + GROUPS_PER_PART, total)))
    missing = [part for part in tasks if not part.is_file()]
    begun = len(tasks) - len(missing)
    progress = Progress(f"score {len(rows)} rows, parts", len(tasks), begun=begun)
    shared = ray.put((list(rows), inputs, asked))
    finished = as_they_end(lambda part: _score_part.remote(part, *tasks[part], shared), missing)
    for done, (_, reference) in enumerate(finished, start=begun + 1):
        ray.get(reference)
        progress.update(done)
    return ScoringPass(parts=tuple(tasks), classes=inputs.classes, image_ids=tuple(image_ids))


def score_part(
    part: Path,
    predictions: Path,
    groups: Sequence[int],
    rows: Sequence[ScoredRow],
    inputs: RowInputs,
    asked: Asked,
) -> None:
    """Score some images by all rows; the work on an image is shared by all."""
    torch.set_num_threads(1)
    scorers = [scorer_of(row, inputs) for row in rows]
    write_scores(part, score_images(inputs.predictions(predictions, groups), scorers, inputs.classes, asked))


@ray.remote(num_cpus=1)
def _score_part(
    part: Path,
    predictions: Path,
    groups: Sequence[int],
    shared: tuple[Sequence[ScoredRow], RowInputs, Asked],
) -> None:
    score_part(part, predictions, groups, *shared)


def scored_tasks_digest(tasks: Sequence[Task], inference: InferenceConfig) -> str:
    """Digest what decides the scores of a row besides its classifier and the predictions."""
    return hashlib.sha256(json.dumps([SCHEMA_VERSION, list(tasks), to_plain(inference)]).encode()).hexdigest()[:8]


def pass_key(rows: Sequence[ScoredRow], asked: Asked) -> str:
    """Digest what decides what a pass finds on given predictions: parts of another one are no use."""
    identity = [
        [to_plain(replace(row, folder=row.folder.resolve())) for row in rows],
        [list(asked.tasks), asked.world is not None, list(asked.penalties)],
    ]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]


def _val_image_ids(config: PipelineConfig, run_dir: RunDir) -> tuple[int, ...]:
    filesystem, _ = open_location(shard_folder(config, run_dir, "val"))
    files = shard_files(config, run_dir, "val")
    return tuple(row["image_id"] for file in files for row in read_rows(file, filesystem, columns=["image_id"]))


def _require_same_images(scored: np.ndarray, expected: Sequence[int]) -> None:
    """Check that every val image was scored; that none was scored twice is known already."""
    missing, foreign = sorted(set(expected) - set(scored.tolist())), sorted(set(scored.tolist()) - set(expected))
    if missing or foreign:
        found = f"image {missing[0]} was not scored" if missing else f"image {foreign[0]} is not in the val shards"
        raise ValueError(
            f"{found}: {len(scored)} images scored, the val shards hold {len(expected)}; redo the cache stage"
        )
