"""Pictures of a few val images: photo, ground truth, and what each method made of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from cluster.filesystem import open_location
from cluster.storage import RunDir
from jobs.cache import prediction_files
from jobs.config import PipelineConfig
from jobs.fit import fitted_rows
from jobs.rows import RowInputs, ScoredRow, scorer_of
from jobs.shard import shard_classes, shard_files, shard_folder
from pading.classes import ClassTable
from pading.data.shards.rows import decode_row, read_rows
from pading.evaluate.board.board import PANELS
from pading.evaluate.inference import (
    InferenceConfig,
    PanopticMap,
    UpsampledMasks,
    ground_truth_map,
    panoptic_map,
    semantic_map,
    upsampled_masks,
)
from pading.evaluate.panel_files import write_panels
from pading.evaluate.panels import PanelRow, draw_panel
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.scorer import Scorer
from pading.splits.split import Task

CONTACT_SHEET = "panels.png"
NUM_IMAGES = 6
LOOKED_AT = 64  # the first val images, of which those with most unseen segments are shown


def write_pictures(
    config: PipelineConfig, run_dir: RunDir, sources: Sequence[ScoredRow], inputs: RowInputs, folder: Path
) -> None:
    """Write `panels.png`, a row per image and a column per method with its first seed, and its cells in `panels/`.

    `sources` are those of the fitted rows.
    """
    classes = shard_classes(run_dir)
    rows_and_sources = zip(fitted_rows(run_dir), sources, strict=True)
    firsts = {row["method"]: source for row, source in reversed(list(rows_and_sources))}
    methods = [method for method in config.fit.methods if method in firsts]
    scorers = [scorer_of(firsts[method], inputs) for method in methods]
    predictions = list(inputs.first_images(prediction_files(run_dir), LOOKED_AT))
    unseen = set(classes.unseen)
    chosen = sorted(predictions, key=lambda p: -sum(s.class_index in unseen for s in p.segments))[:NUM_IMAGES]
    wanted = {prediction.image_id for prediction in chosen}
    filesystem, _ = open_location(shard_folder(config, run_dir, "val"))
    photos = {}
    for row in (row for path in shard_files(config, run_dir, "val") for row in read_rows(path, filesystem)):
        if row["image_id"] in wanted:
            photos[row["image_id"]] = decode_row(row).image
        if len(photos) == len(wanted):
            break
    rows = {
        prediction.image_id: PanelRow(
            photo=photos[prediction.image_id],
            ground_truth=ground_truth_map(prediction, classes),
            predictions=tuple(map_of(prediction, scorer, classes, config.task) for scorer in scorers),
        )
        for prediction in chosen
    }
    draw_panel(list(rows.values()), methods, classes).save(folder / CONTACT_SHEET)
    write_panels(folder / PANELS, rows, methods, classes)


def map_of(prediction: ImagePrediction, scorer: Scorer, classes: ClassTable, task: Task) -> PanopticMap:
    """Return what a scorer makes of one image's queries: for the semantic task a segment per class, no void."""
    probabilities = scorer.probabilities(prediction, classes)
    return map_from(probabilities, upsampled_masks(prediction), classes, task, scorer.inference)


def map_from(
    probabilities: Float[torch.Tensor, "Q K+1"],
    masks: UpsampledMasks,
    classes: ClassTable,
    task: Task,
    config: InferenceConfig,
) -> PanopticMap:
    """Return what `map_of` does, from what was already computed."""
    if task != "semantic":
        return panoptic_map(probabilities, masks, classes, config)
    present, labels = np.unique(semantic_map(probabilities, masks, classes, config), return_inverse=True)
    label_map = labels.reshape(masks.probabilities.shape[1:]).astype(np.int32) + 1
    return PanopticMap(label_map=label_map, classes=present)
