"""Where synthetic features of unseen classes lie beside real ones, for the page of the leaderboard (PADing, Fig. 5).

It looks at real features of unseen classes, which no fit may: it explains results, and nothing is chosen by it.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cluster.storage import RunDir
from jobs.cache import prediction_files
from jobs.config import PipelineConfig
from jobs.embed import read_embeddings
from jobs.fit import fitted_rows
from jobs.shard import shard_classes
from jobs.tsne import embed_on_plane
from pading.evaluate.board.feature_planes import ClassOnPlane, FeaturePlanes, GeneratorOnPlane, Places
from pading.evaluate.matched import matched_queries
from pading.evaluate.panel_files import css_colour
from pading.evaluate.predictions import ImagePrediction, read_predictions
from pading.zeroshot.diagnostics.confusion import class_means, nearest_means
from pading.zeroshot.features import Features, concatenate
from pading.zeroshot.fit_generator import synthesise
from pading.zeroshot.generator_files import load_generator
from pading.zeroshot.methods import GENERATIVE

MOST_POINTS = 900  # on the plane, real and synthetic rows of all generators together: seconds of t-SNE
MOST_EACH = 30  # of a class and a generator
MOST_IMAGES = 200  # val images that are looked at for real rows


def feature_planes(config: PipelineConfig, run_dir: RunDir) -> FeaturePlanes | None:
    """Return the plane of the first seed of every generative method under its first profile, `best` if it has it.

    None where no method has a generator, the split has no unseen class, or no query covers a true segment of one.
    """
    classes = shard_classes(run_dir)
    rows = _chosen_rows(fitted_rows(run_dir))
    if not rows or not classes.unseen:
        return None
    each = min(MOST_EACH, max(2, MOST_POINTS // (len(classes.unseen) * (1 + len(rows)))))
    real = _real_features(prediction_files(run_dir), classes.unseen, each)
    if not len(real):
        return None
    text = torch.tensor(read_embeddings(run_dir).matrix)
    torch.set_num_threads(1)  # small operations: a second thread only waits
    folder = run_dir.artefact("classifiers")
    synthetic = [
        synthesise(load_generator(folder / row["folder"]), text, classes.unseen, each, row["seed"]) for row in rows
    ]
    means = class_means(real, classes.num_classes)
    parts = [real, *synthetic]
    plane = embed_on_plane(torch.cat([part.embeddings for part in parts]).numpy(), config.seed)
    places = np.split(plane, np.cumsum([len(part) for part in parts])[:-1])
    return FeaturePlanes(
        classes=tuple(ClassOnPlane(name=classes.names[at], colour=css_colour(at)) for at in classes.unseen),
        real=_places(real, places[0], classes.unseen),
        generators=tuple(
            GeneratorOnPlane(
                method=row["method"],
                profile=row["profile"],
                seed=row["seed"],
                own_nearest=_own_nearest(part, means),
                synthetic=_places(part, where, classes.unseen),
            )
            for row, part, where in zip(rows, synthetic, places[1:], strict=True)
        ),
    )


def _chosen_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row of each method that has a generator: `best` before other profiles, then the lowest seed."""
    generative = [row for row in rows if row["method"] in GENERATIVE]
    ordered = sorted(generative, key=lambda row: (row["profile"] != "best", row["seed"]))
    firsts: dict[str, dict[str, Any]] = {}
    for row in ordered:
        firsts.setdefault(row["method"], row)
    return [firsts[method] for method in GENERATIVE if method in firsts]


def _real_features(files: list[Path], wanted: tuple[int, ...], each: int) -> Features:
    """Return the first matched queries of each wanted class, from as few images as hold them."""
    parts: list[Features] = []
    missing = dict.fromkeys(wanted, each)
    for image in islice(_images(files), MOST_IMAGES):
        if not any(missing.get(segment.class_index) for segment in image.segments):
            continue
        found = matched_queries(image)
        kept = []
        for label in found.labels.tolist():
            kept.append(missing.get(label, 0) > 0)
            missing[label] = missing.get(label, 0) - 1
        parts.append(found.where(torch.tensor(kept, dtype=torch.bool)))
        if all(missing[index] <= 0 for index in wanted):
            break
    width = next(_images(files)).query_embeddings.shape[1]
    nothing = torch.zeros(0, dtype=torch.int64)
    return concatenate([Features(torch.zeros(0, width), nothing, nothing), *parts])


def _images(files: list[Path]) -> Iterator[ImagePrediction]:
    return (image for path in files for image in read_predictions(path))


def _own_nearest(synthetic: Features, means: Float[Tensor, "K D"]) -> float | None:
    """Return the percentage of rows that are nearest to their own class, of rows whose class has a mean."""
    compared = synthetic.where(means.isfinite().all(dim=1)[synthetic.labels])
    if not len(compared):
        return None
    return 100 * float((nearest_means(compared.embeddings, means) == compared.labels).double().mean())


def _places(rows: Features, where: Float[np.ndarray, "N 2"], classes: tuple[int, ...]) -> Places:
    index = {label: at for at, label in enumerate(classes)}
    x, y = (tuple(column.tolist()) for column in where.T)
    return Places(x=x, y=y, labels=tuple(index[label] for label in rows.labels.tolist()))
