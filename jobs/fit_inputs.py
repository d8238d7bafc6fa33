"""What every fit of a run reads: its cached features, text, head and class table."""

from cluster.storage import RunDir
from jobs.cache import feature_files
from jobs.embed import read_embeddings
from jobs.shard import shard_classes
from pading.segmenter.weights import load_segmenter
from pading.zeroshot.features import read_features
from pading.zeroshot.fit_inputs import FitInputs


def read_fit_inputs(run_dir: RunDir) -> FitInputs:
    """Return the inputs of a run whose stages `cache`, `embed` and `pretrain` are finished."""
    head = load_segmenter(run_dir.artefact("segmenter")).class_head
    text = read_embeddings(run_dir).matrix
    return FitInputs.of(read_features(feature_files(run_dir)), text, head, shard_classes(run_dir))
