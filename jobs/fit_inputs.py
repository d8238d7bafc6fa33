"""What every fit of a run reads: its cached features, text, heads and class table."""

import torch

from cluster.storage import RunDir
from jobs.cache import feature_files
from jobs.embed import read_embeddings
from jobs.shard import shard_classes
from pading.segmenter.class_heads import TextHead
from pading.segmenter.weights import load_segmenter
from pading.zeroshot.feature_sample import read_feature_sample
from pading.zeroshot.features import Features, read_features
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.segmenter_head import cosine_head, linear_head


def read_fit_inputs(run_dir: RunDir) -> FitInputs:
    """Return the inputs of a run whose stages `cache`, `embed` and `pretrain` are finished."""
    return _inputs_with(run_dir, read_features(feature_files(run_dir)))


def sample_fit_inputs(run_dir: RunDir, max_rows: int, seed: int) -> tuple[FitInputs, int]:
    """Return the same with as many features as fit into `max_rows`, and how many the cache has."""
    features, num_rows = read_feature_sample(feature_files(run_dir), max_rows, seed)
    return _inputs_with(run_dir, features), num_rows


def _inputs_with(run_dir: RunDir, features: Features) -> FitInputs:
    head, classes = load_segmenter(run_dir.artefact("segmenter")).class_head, shard_classes(run_dir)
    text = read_embeddings(run_dir).matrix
    projection = cosine_head(head, torch.from_numpy(text)) if isinstance(head, TextHead) else None
    return FitInputs.of(features, text, linear_head(head, features, classes), classes, projection)
