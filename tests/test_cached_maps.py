"""What evaluation reads from the cache is what the network says."""

from pathlib import Path

import numpy as np
import torch

from cluster.storage import RunDir
from jobs.cache import prediction_files
from jobs.presets import smoke
from jobs.shard import shard_classes
from pading.data.shards.rows import decode_row, read_rows
from pading.evaluate.extract import predict_samples
from pading.evaluate.inference import InferenceConfig, panoptic_map, upsampled_masks
from pading.evaluate.predictions import read_predictions
from pading.segmenter.weights import load_segmenter


def test_the_network_again_and_the_cache_give_the_same_panoptic_maps(smoke_run: Path) -> None:
    segmenter, classes = load_segmenter(smoke_run / "segmenter"), shard_classes(RunDir(smoke_run))
    files = sorted((smoke_run / "shards" / "val").glob("*.parquet"))
    samples = [decode_row(row) for file in files for row in read_rows(file)]
    again = {image.image_id: image for image in predict_samples(segmenter, samples, smoke().data.input_px)}
    cached = [image for file in prediction_files(RunDir(smoke_run)) for image in read_predictions(file)]
    assert {image.image_id for image in cached} == again.keys()
    every_query = InferenceConfig(object_score_threshold=0.0, overlap_threshold=0.0, mask_threshold=0.0)
    shown = 0
    for image in cached:
        fresh = again[image.image_id]
        np.testing.assert_allclose(fresh.query_embeddings, image.query_embeddings, atol=1e-5)
        # A network of 14 steps shows next to nothing: let its queries have classes in turn, all equally sure.
        probabilities = torch.eye(classes.num_classes + 1)[torch.arange(len(image.mask_logits)) % classes.num_classes]
        first, second = (
            panoptic_map(probabilities, upsampled_masks(source), classes, every_query) for source in (image, fresh)
        )
        np.testing.assert_array_equal(first.label_map, second.label_map)
        np.testing.assert_array_equal(first.classes, second.classes)
        shown += len(first.classes)
    assert shown > len(cached), f"{shown} segments in {len(cached)} images"
