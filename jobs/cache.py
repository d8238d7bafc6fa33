"""Stage `cache`: the frozen segmenter runs once over each image; everything after it reads the results.

Train shards give features (class embeddings of matched and unmatched queries with their labels); val shards give
predictions (all query embeddings, mask logits in half precision, and the ground truth to score them against). Each is
kept in the stage's unfinished work once it is whole.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
import torch

from cluster.filesystem import open_location
from cluster.resources import Request
from cluster.session import connect
from cluster.storage import RunDir, written_whole
from jobs.config import PipelineConfig
from jobs.devices import uses_gpus
from jobs.parquet import count_rows, read_parquet, write_parquet
from jobs.progress import say
from jobs.shard import PARTS, check_shards, shard_files, shard_folder
from pading.data.shards.rows import decode_row
from pading.data.views.batch import Batch, batch_arrays
from pading.data.views.jitter import letterbox_view
from pading.evaluate.extract import matched_features, predict_samples
from pading.evaluate.predictions import PREDICTION_SCHEMA, ROWS_PER_GROUP, to_row
from pading.segmenter.weights import load_segmenter
from pading.splits.split import Part
from pading.zeroshot.features import feature_schema, features_table

FEATURES, PREDICTIONS = "features", "predictions"
WORK = "cache"
FEATURE_ROWS_PER_GROUP = 8192


def cache(config: PipelineConfig, run_dir: RunDir, folder: Path) -> dict[str, Any]:
    """Write `features/` from the train shards and `predictions/` from the val shards.

    A stage that was killed after the features makes the predictions alone.

    Raises:
        FileNotFoundError: if a shard is missing.
        ValueError: if a shard is not the one that the index names: a flipped bit can leave a photo that decodes.
    """
    connect()
    for part in PARTS:
        check_shards(config, run_dir, part)
    weights = run_dir.artefact("segmenter").resolve()
    places = {name: run_dir.work(WORK) / name for name in (FEATURES, PREDICTIONS)}
    counts = {}
    if not places[FEATURES].is_dir():
        train = _read_shards(config, run_dir, "train")
        features = _with_actors(train, FeatureExtractor, (weights, config), config)
        _write(features, places[FEATURES], feature_schema(config.segmenter.width), FEATURE_ROWS_PER_GROUP)
    counts[FEATURES] = count_rows(sorted(places[FEATURES].glob("*.parquet")))
    say(f"  {counts[FEATURES]} features of train images")
    if not places[PREDICTIONS].is_dir():
        val = _read_shards(config, run_dir, "val")
        predictions = _with_actors(val, Predictor, (weights, config.data.input_px), config)
        _write(predictions, places[PREDICTIONS], PREDICTION_SCHEMA, ROWS_PER_GROUP)
    counts[PREDICTIONS] = count_rows(sorted(places[PREDICTIONS].glob("*.parquet")))
    say(f"  {counts[PREDICTIONS]} predictions of val images")
    for name, place in places.items():
        place.rename(folder / name)
    return counts


def needs(config: PipelineConfig, has_gpus: bool) -> list[Request]:
    """Return what the stage cannot do without: its actors, and a CPU to read and write with."""
    actor = {"CPU": config.cache.cpus_per_actor} | ({"GPU": config.cache.gpus_per_actor} if has_gpus else {})
    return [Request(resources=actor, count=config.cache.actors), Request(resources={"CPU": 1})]


def _write(rows: ray.data.Dataset, folder: Path, schema: pa.Schema, rows_per_group: int) -> None:
    with written_whole(folder) as unfinished:
        write_parquet(rows, unfinished, schema, rows_per_group)


def _read_shards(config: PipelineConfig, run_dir: RunDir, part: Part) -> ray.data.Dataset:
    filesystem, _ = open_location(shard_folder(config, run_dir, part))
    return read_parquet(shard_files(config, run_dir, part), filesystem=filesystem)


def feature_files(run_dir: RunDir) -> list[Path]:
    """Return the feature parts of this run, in order."""
    return sorted((run_dir.artefact("cache") / FEATURES).glob("*.parquet"))


def prediction_files(run_dir: RunDir) -> list[Path]:
    """Return the prediction parts of this run, in order."""
    return sorted((run_dir.artefact("cache") / PREDICTIONS).glob("*.parquet"))


class FeatureExtractor:
    """Ray Data actor: shard rows to feature rows."""

    def __init__(self, weights: Path, config: PipelineConfig) -> None:
        torch.set_num_threads(1)
        self.config = config
        self.segmenter = load_segmenter(weights).to(_device())

    def __call__(self, rows: dict[str, np.ndarray]) -> pa.Table:
        """Return one row per kept query."""
        data = self.config.data
        sizes = zip(rows["height"].tolist(), rows["width"].tolist(), strict=True)
        views = [letterbox_view(height, width, data.input_px) for height, width in sizes]
        has_background = self.config.task == "instance"
        arrays = batch_arrays(rows, views, data.input_px, data.max_segments, has_background=has_background)
        batch = Batch.from_arrays(arrays).to(_device())
        weights = self.config.pretrain.criterion.weights
        kept = matched_features(self.segmenter, batch, self.config.cache.no_object_per_image, self.config.seed, weights)
        return features_table(kept)


class Predictor:
    """Ray Data actor: shard rows to prediction rows."""

    def __init__(self, weights: Path, input_px: int) -> None:
        torch.set_num_threads(1)
        self.input_px = input_px
        self.segmenter = load_segmenter(weights).to(_device())

    def __call__(self, rows: dict[str, np.ndarray]) -> pa.Table:
        """Return one row per image."""
        columns = zip(*rows.values(), strict=True)
        samples = [decode_row(dict(zip(rows, values, strict=True))) for values in columns]
        predictions = predict_samples(self.segmenter, samples, self.input_px)
        return pa.Table.from_pylist([to_row(prediction) for prediction in predictions], schema=PREDICTION_SCHEMA)


def _with_actors(
    dataset: ray.data.Dataset, actor: type, arguments: tuple[Any, ...], config: PipelineConfig
) -> ray.data.Dataset:
    return dataset.map_batches(
        actor,
        fn_constructor_args=arguments,
        batch_size=config.cache.batch_size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=config.cache.actors),
        num_cpus=config.cache.cpus_per_actor,
        num_gpus=config.cache.gpus_per_actor if uses_gpus() else 0,
    )


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
