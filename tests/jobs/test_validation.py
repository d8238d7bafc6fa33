"""Validation during training: the same figures however many ranks share the images."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.config import PipelineConfig
from jobs.stream import Shards
from jobs.validation import ValidationSet, validate
from pading.data.sample import Sample
from pading.data.shards.rows import encode_row, write_shard
from pading.segmenter.initialisation import initialise
from pading.segmenter.segmenter import Segmenter
from pading.shapes.classes import shapes_classes
from pading.shapes.layout import ShapesConfig
from pading.shapes.scene import render_scene

NUM_IMAGES = 7
CONFIG = PipelineConfig(preset="any")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder, rows = tmp_path_factory.mktemp("val"), []
    for index in range(NUM_IMAGES):
        scene = render_scene(ShapesConfig(num_val=NUM_IMAGES), "val", index)
        jpeg = io.BytesIO()
        Image.fromarray(scene.image).save(jpeg, "JPEG")
        sample = Sample(
            image_id=index,
            file_name=f"{index}.jpg",
            image=scene.image,
            label_maps=scene.label_map[None].astype(np.uint16),
            segments=tuple(scene.segments),
        )
        rows.append(encode_row(jpeg.getvalue(), sample))
    write_shard(folder / "a.parquet", rows[:4])
    write_shard(folder / "b.parquet", rows[4:])
    return Shards(folder=str(folder), names=("a.parquet", "b.parquet"), rows_per_group=((4,), (3,)))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    classes = shapes_classes()
    return initialise(Segmenter(CONFIG.segmenter, classes.num_classes), torch.Generator().manual_seed(0)).train()


def test_ranks_share_the_first_images_and_run_as_many_batches(shards: Shards) -> None:
    shares = [ValidationSet.read(shards, 5, rank, 3, batch_size=1) for rank in range(3)]
    assert [[sample.image_id for sample in share.samples] for share in shares] == [[0, 3], [1, 4], [2]]
    assert [share.num_batches for share in shares] == [2, 2, 2]
    assert ValidationSet.read(shards, 0, 0, 3).num_batches == 0
    assert len(ValidationSet.read(shards, 100, 0, 1).samples) == NUM_IMAGES


def test_only_seen_classes_are_scored_and_the_model_trains_on(shards: Shards, segmenter: Segmenter) -> None:
    found = validate(segmenter, ValidationSet.read(shards, 3, 0, 1), CONFIG, shapes_classes(), torch.device("cpu"))
    assert {"pq/seen", "recall50/masks/seen"} <= found.keys()
    assert all(name.endswith("/seen") for name in found)
    assert segmenter.training


def test_batches_may_be_cut_anywhere_and_be_empty(shards: Shards, segmenter: Segmenter) -> None:
    whole = ValidationSet.read(shards, NUM_IMAGES, 0, 1)
    singles = ValidationSet.read(shards, NUM_IMAGES, 0, 1, batch_size=1)
    longer = replace(singles, num_batches=NUM_IMAGES + 2)  # as on the rank with the fewest images
    results = [validate(segmenter, images, CONFIG, shapes_classes(), torch.device("cpu")) for images in (whole, longer)]
    assert results[1] == pytest.approx(results[0], nan_ok=True)


def test_a_missing_shard_is_named(shards: Shards, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.parquet"):
        ValidationSet.read(replace(shards, folder=str(tmp_path)), 3, 0, 1)
