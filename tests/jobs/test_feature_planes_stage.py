"""What the stage `leaderboard` adds to the page from the cache and the fitted generators of a run."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.storage import RunDir
from jobs.cache import prediction_files
from jobs.config import read_config
from jobs.feature_planes import _chosen_rows, _own_nearest, _real_features, feature_planes
from jobs.presets import smoke
from jobs.shard import shard_classes
from pading.evaluate.matched import all_matched_queries
from pading.evaluate.predictions import read_predictions
from pading.zeroshot.features import Features

GENERATORS = ("gmmn", "wgan", "primitive", "primitive+align", "pading")


def features(rows: list[list[float]], labels: list[int]) -> Features:
    found = torch.tensor(labels)
    return Features(torch.tensor(rows), found, torch.zeros_like(found))


def test_each_method_has_its_best_profile_and_lowest_seed() -> None:
    rows = [
        {"method": method, "profile": profile, "seed": seed}
        for method in ("pading", "supervised", "gmmn")
        for profile in ("paper", "best")
        for seed in (1, 0)
        if (method, profile) != ("gmmn", "best")
    ]
    chosen = [(row["method"], row["profile"], row["seed"]) for row in _chosen_rows(rows)]
    assert chosen == [("gmmn", "paper", 0), ("pading", "best", 0)]


def test_rows_nearest_to_their_own_mean_are_counted_where_there_is_one() -> None:
    means = torch.tensor([[0.0, 0.0], [10.0, 0.0], [torch.nan, torch.nan]])
    synthetic = features([[1.0, 0.0], [9.0, 0.0], [8.0, 1.0], [5.0, 5.0]], [0, 0, 1, 2])
    assert _own_nearest(synthetic, means) == pytest.approx(200 / 3)
    assert _own_nearest(synthetic.where(synthetic.labels == 2), means) is None


def test_real_rows_are_the_first_matched_queries_of_each_unseen_class(smoke_run: Path) -> None:
    run_dir = RunDir(smoke_run)
    files, unseen = prediction_files(run_dir), shard_classes(run_dir).unseen
    every = all_matched_queries(image for path in files for image in read_predictions(path))
    found = _real_features(files, unseen, each=2)
    for index in range(shard_classes(run_dir).num_classes):
        expected = every.embeddings[every.labels == index][:2] if index in unseen else every.embeddings[:0]
        assert torch.equal(found.embeddings[found.labels == index], expected)


def test_the_page_of_a_run_shows_pictures_and_every_generator(smoke_run: Path) -> None:
    run_dir = RunDir(smoke_run)
    planes = feature_planes(read_config(run_dir), run_dir)
    page = (smoke_run / "leaderboard.html").read_text()
    num_pictures = 6 * (2 + len(smoke().fit.methods))  # photo, truth and every row
    assert page.count("data:image/webp;base64,") == num_pictures
    assert len(list((smoke_run / "evaluation" / "panels").glob("*.webp"))) == num_pictures
    if planes is None:  # the smoke segmenter is weak: perhaps it finds nothing unseen
        assert "features of generators" in page
        return
    assert tuple(one.method for one in planes.generators) == GENERATORS
    assert {one.name for one in planes.classes} == {
        shard_classes(run_dir).names[at] for at in shard_classes(run_dir).unseen
    }
    assert all(set(one.synthetic.labels) == set(range(len(planes.classes))) for one in planes.generators)
    assert all(np.isfinite(one.synthetic.x).all() for one in planes.generators)
    assert page.count("class=features") == len(GENERATORS) * len(planes.classes)
