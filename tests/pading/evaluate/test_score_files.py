import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pading.data.errors import DataError
from pading.evaluate.curve import with_ends
from pading.evaluate.per_image import qualities_of
from pading.evaluate.row_scores import Asked, RowScores
from pading.evaluate.score_files import read_scores, write_scores
from pading.evaluate.scoring_pass import score_rows
from pading.evaluate.unseen_world import unseen_world

TASKS = ("panoptic", "semantic", "instance")


@pytest.fixture(scope="module")
def rows(random_world) -> list[RowScores]:
    asked = Asked(tasks=TASKS, world=unseen_world(random_world.classes), penalties=with_ends((0.0, 0.4)))
    scorers = [random_world.scorer(seed) for seed in range(3)]
    images = [score_rows(image, scorers, random_world.classes, asked) for image in random_world.images]
    return [RowScores.concatenate(column) for column in zip(*images, strict=True)]


def assert_same(one: RowScores, two: RowScores) -> None:
    assert one.generalised.keys() == two.generalised.keys()
    for mine, theirs in ((one.generalised, two.generalised), (one.unseen_only, two.unseen_only)):
        for task in TASKS:
            ones = np.ones((1, len(mine[task].image_ids)))
            for name in qualities_of(task):
                np.testing.assert_array_equal(mine[task].quality(name, ones), theirs[task].quality(name, ones))
    for task, curve in one.curves.items():
        np.testing.assert_array_equal(curve.counts, two.curves[task].counts)


def test_scores_come_back_from_their_file(rows, random_world, tmp_path: Path):
    write_scores(tmp_path / "scores.npz", rows)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npz"]
    for one, read in zip(rows, read_scores(tmp_path / "scores.npz", random_world.classes), strict=True):
        assert_same(one, read)


def test_one_row_is_read_without_the_others(rows, random_world, tmp_path: Path):
    write_scores(tmp_path / "scores.npz", rows)
    (read,) = read_scores(tmp_path / "scores.npz", random_world.classes, [2])
    assert_same(rows[2], read)
    with pytest.raises(DataError, match=r"rows \[3\] of 3"):
        read_scores(tmp_path / "scores.npz", random_world.classes, [3])


def test_a_damaged_or_foreign_file_of_scores_is_named(rows, random_world, tmp_path: Path):
    path, classes = tmp_path / "scores.npz", random_world.classes
    write_scores(path, rows)
    few = dataclasses.replace(
        classes, **{name: getattr(classes, name)[:2] for name in ("names", "coco_ids", "is_thing", "is_seen")}
    )
    with pytest.raises(DataError, match=r"scores\.npz.*delete it"):
        read_scores(path, few)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 3] ^= 255
    for damaged in (content[: len(content) // 2], b"", b"no archive at all", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"scores\.npz"):
            read_scores(path, classes)
    with pytest.raises(FileNotFoundError):
        read_scores(tmp_path / "absent.npz", classes)
