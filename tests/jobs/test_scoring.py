"""The scoring pass by real Ray tasks: on which images, whatever becomes of its workers."""

import dataclasses
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from jobs import scoring
from jobs.rows import RowInputs, ScoredRow, scorer_of
from jobs.scoring import ScoringPass, score_part, score_predictions
from pading.evaluate.curve import with_ends
from pading.evaluate.per_image import qualities_of
from pading.evaluate.predictions import write_predictions
from pading.evaluate.row_scores import Asked, RowScores
from pading.evaluate.scoring_pass import score_rows
from pading.evaluate.unseen_world import unseen_world
from pading.zeroshot.classifier import LinearClassifier, save_classifier
from tests.references import evaluate_world

NUM_IMAGES = 150  # ten row groups: three parts


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two rows and two files of predictions, as a run has them."""
    world, folder = evaluate_world.random_world(), tmp_path_factory.mktemp("cached")
    images = [world.image(image_id) for image_id in range(NUM_IMAGES)]
    files = [folder / "part-00000.parquet", folder / "part-00001.parquet"]
    write_predictions(files[0], images[:100])
    write_predictions(files[1], images[100:])
    rows = []
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(6, 8, generator=generator) + 2 * torch.eye(6, 8)
        save_classifier(folder / f"row{seed}", LinearClassifier(weight=weight, bias=torch.zeros(6)))
        rows.append(ScoredRow(folder=folder / f"row{seed}", inference=world.lenient))
    asked = Asked(tasks=("panoptic", "instance"), world=unseen_world(world.classes), penalties=with_ends((0.0, 0.3)))
    return SimpleNamespace(world=world, images=images, files=files, rows=rows, asked=asked, folder=folder)


def score(cached: SimpleNamespace, folder: Path, files: list[Path] | None = None) -> ScoringPass:
    ids = range(NUM_IMAGES)
    return score_predictions(
        files or cached.files, ids, cached.rows, RowInputs(classes=cached.world.classes), cached.asked, folder
    )


def assert_same(one: RowScores, two: RowScores) -> None:
    for task, scores in one.generalised.items():
        ones = np.ones((1, len(scores.image_ids)))
        for name in qualities_of(task):
            np.testing.assert_array_equal(scores.quality(name, ones), two.generalised[task].quality(name, ones))
    for task, curve in one.curves.items():
        np.testing.assert_array_equal(curve.counts, two.curves[task].counts)


def kill_workers(number: int, killed: list[int]) -> None:
    """End workers that score, one after the other; only what this process started."""
    deadline = time.monotonic() + 120
    while len(killed) < number and time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            try:
                is_at_work = "ray::_score_part" in " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if is_at_work and process.pid not in killed:
                process.send_signal(signal.SIGKILL)
                killed.append(process.pid)
                break
        time.sleep(0.02)


def test_a_killed_worker_changes_no_digit(ray_session: None, cached: SimpleNamespace, tmp_path: Path) -> None:
    inputs = RowInputs(classes=cached.world.classes)
    scorers = [scorer_of(row, inputs) for row in cached.rows]
    images = [score_rows(image, scorers, cached.world.classes, cached.asked) for image in cached.images]
    expected = [RowScores.concatenate(column) for column in zip(*images, strict=True)]
    killed: list[int] = []
    thread = threading.Thread(target=kill_workers, args=(1, killed))
    thread.start()
    scored = score(cached, tmp_path)
    thread.join()
    assert len(killed) == 1
    together = scored.rows([1, 0])  # any rows, in any order
    for number, row in enumerate(expected):
        assert_same(row, scored.rows([number])[0])
        assert_same(row, together[1 - number])

    before = {part: part.stat().st_mtime_ns for part in scored.parts}
    assert len(before) == 3
    lost = scored.parts[1]
    lost.unlink()
    again = score(cached, tmp_path)  # a pass that was killed: only what it lacks is scored
    assert {part for part in again.parts if part.stat().st_mtime_ns != before[part]} == {lost}
    assert_same(expected[1], again.rows([1])[0])


def test_a_missing_a_foreign_and_a_doubled_image_are_refused(cached: SimpleNamespace, tmp_path: Path) -> None:
    part = tmp_path / "part.npz"
    score_part(part, cached.files[1], [0], cached.rows[:1], RowInputs(classes=cached.world.classes), cached.asked)
    whole = ScoringPass(parts=(part,), classes=cached.world.classes, image_ids=tuple(range(100, 116)))
    assert whole.rows([0])[0].generalised["panoptic"].image_ids.tolist() == list(range(100, 116))
    for ids, message in (
        (range(100, 117), "image 116 was not scored: 16 images scored, the val shards hold 17; redo the cache stage"),
        (range(101, 116), "image 100 is not in the val shards"),
        (range(101, 117), "image 116 was not scored"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(whole, image_ids=tuple(ids)).rows([0])
    with pytest.raises(ValueError, match="image 100 was scored twice"):
        dataclasses.replace(whole, parts=(part, part)).rows([0])


def test_other_settings_find_no_parts(cached: SimpleNamespace) -> None:
    rows, asked = cached.rows, cached.asked
    keys = {
        scoring.pass_key(rows, asked),
        scoring.pass_key(rows[:1], asked),
        scoring.pass_key(rows, dataclasses.replace(asked, penalties=())),
        scoring.pass_key([dataclasses.replace(row, inference=type(row.inference)()) for row in rows], asked),
    }
    assert len(keys) == 4
