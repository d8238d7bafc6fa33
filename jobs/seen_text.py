"""What the text head of a segmenter may know while it is trained: the text embeddings of the seen classes."""

import numpy as np
from jaxtyping import Float32

from cluster.storage import RunDir
from jobs.config import PipelineConfig
from jobs.embed import read_embeddings
from pading.classes import ClassTable
from pading.config import override


def with_seen_text(
    config: PipelineConfig, run_dir: RunDir, classes: ClassTable
) -> tuple[PipelineConfig, Float32[np.ndarray, "S E"] | None]:
    """Return the configuration with a text head as wide as the run's texts, and the texts of its seen classes in order.

    Those of unseen classes go no further: no worker of the training ever holds one. A linear head has no text.

    Raises:
        ValueError: if the embeddings are of other classes, or of another width than was asked for.
    """
    if config.segmenter.class_head != "text":
        return config, None
    matrix = read_embeddings(run_dir).for_classes(classes).matrix
    width = int(matrix.shape[1])
    if config.segmenter.text_width not in (0, width):
        raise ValueError(
            f"--segmenter.text-width {config.segmenter.text_width}, but the run's text embeddings are {width} wide; "
            "leave the option out"
        )
    return override(config, {"segmenter.text_width": width}), matrix[list(classes.seen)]
