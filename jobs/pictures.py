"""Pictures of a few val images: photo, ground truth, and what each method made of it."""

from itertools import islice

import torch
from PIL import Image

from cluster.storage import RunDir
from jobs.cache import prediction_files
from jobs.fit import fitted_rows
from jobs.presets import PipelineConfig
from jobs.shard import shard_classes, shard_files
from pading.classes import ClassTable
from pading.data.shards import decode_row, read_rows
from pading.evaluate.inference import InferenceConfig, PanopticMap, ground_truth_map, panoptic_map, upsampled_masks
from pading.evaluate.panels import PanelRow, draw_panel
from pading.evaluate.predictions import ImagePrediction, read_predictions
from pading.zeroshot.classifier import Classifier, load_classifier

NUM_IMAGES = 6
LOOKED_AT = 64  # the first val images, of which those with most unseen segments are shown


def draw_pictures(config: PipelineConfig, run_dir: RunDir) -> Image.Image:
    """Return one row per image and one column per method, each with its first seed."""
    classes = shard_classes(run_dir)
    firsts = {row["method"]: row["folder"] for row in reversed(fitted_rows(run_dir))}
    methods = [method for method in config.fit.methods if method in firsts]
    classifiers = [load_classifier(run_dir.artefact("classifiers") / firsts[method]) for method in methods]
    predictions = list(islice((p for path in prediction_files(run_dir) for p in read_predictions(path)), LOOKED_AT))
    unseen = set(classes.unseen)
    chosen = sorted(predictions, key=lambda p: -sum(s.class_index in unseen for s in p.segments))[:NUM_IMAGES]
    wanted = {prediction.image_id for prediction in chosen}
    photos = {}
    for row in (row for path in shard_files(run_dir, "val") for row in read_rows(path)):
        if row["image_id"] in wanted:
            photos[row["image_id"]] = decode_row(row).image
        if len(photos) == len(wanted):
            break
    rows = [
        PanelRow(
            photo=photos[prediction.image_id],
            ground_truth=ground_truth_map(prediction, classes),
            predictions=tuple(panoptic_of(prediction, c, classes, config.inference) for c in classifiers),
        )
        for prediction in chosen
    ]
    return draw_panel(rows, methods, classes)


def panoptic_of(
    prediction: ImagePrediction, classifier: Classifier, classes: ClassTable, config: InferenceConfig
) -> PanopticMap:
    """Return the panoptic map that a classifier makes of one image's queries."""
    with torch.inference_mode():
        probabilities = classifier(torch.from_numpy(prediction.query_embeddings)).softmax(dim=1)
    return panoptic_map(probabilities, upsampled_masks(prediction), classes.is_thing, config)
