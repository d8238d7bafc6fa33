"""What the benchmark of the image branch works on: the images of a run, or made-up ones of a network of 100 queries.

Of those, a dozen queries each hold one region of a photo of 480 x 640 and are sure of a class; the others hold a
blurred part of one and are taken for no-object. How surely decides how many need not be encoded, so it is an argument:
the probability of being an object lies between two bounds, its logarithm uniform.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from cluster.storage import RunDir
from jobs.cache import prediction_files
from jobs.embed import read_embeddings
from jobs.shard import shard_classes
from pading.classes import ClassTable
from pading.data.shards.rows import decode_row, read_rows
from pading.evaluate.predictions import ImagePrediction, as_half, read_predictions
from pading.segmenter.weights import load_segmenter
from pading.zeroshot.classifier import load_classifier

HEIGHT, WIDTH, INPUT_PX, STRIDE = 480, 640, 640, 4
QUERIES, REGIONS, CLASSES = 100, 12, 133
OBJECTNESS = (1e-4, 1e-1)


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Images with what the segmenter's head and each row say of their queries, and the classes' texts."""

    photos: list[UInt8[np.ndarray, "H W 3"]]
    predictions: list[ImagePrediction]
    head_logits: list[Float[Tensor, "Q K+1"]]
    row_logits: dict[str, list[Float[Tensor, "Q K+1"]]]
    classes: ClassTable
    text: Float[Tensor, "K E"]


def synthetic_image(
    image_id: int, objectness: tuple[float, float]
) -> tuple[UInt8[np.ndarray, "H W 3"], ImagePrediction, Float[Tensor, "Q K+1"]]:
    """Return a photo, its prediction, and the class logits of its queries, no-object last."""
    random = np.random.default_rng(image_id)
    side = INPUT_PX // STRIDE
    rows, columns = np.mgrid[:side, :side]
    centres = random.uniform(0, 1, (REGIONS, 2)) * (HEIGHT / STRIDE, WIDTH / STRIDE)
    distance = np.hypot(rows - centres[:, :1, None], columns - centres[:, 1:, None])  # (regions, side, side)
    owner = random.integers(REGIONS, size=QUERIES)
    owner[:REGIONS] = np.arange(REGIONS)
    is_sure = np.arange(QUERIES) < REGIONS
    others = np.stack([np.delete(distance, region, axis=0).min(axis=0) for region in range(REGIONS)])
    inside = others[owner] - distance[owner] + np.where(is_sure, 0, -random.uniform(0, 20, QUERIES))[:, None, None]
    prediction = ImagePrediction(
        image_id=image_id,
        height=HEIGHT,
        width=WIDTH,
        content_height=HEIGHT,
        content_width=WIDTH,
        input_px=INPUT_PX,
        query_embeddings=np.zeros((QUERIES, 1), np.float32),
        mask_logits=as_half(inside * np.where(is_sure, 0.8, 0.2)[:, None, None]),
        label_maps=np.zeros((1, HEIGHT, WIDTH), np.uint16),
        segments=(),
    )
    low, high = np.log(objectness)
    object_share = np.where(is_sure, random.uniform(0.6, 0.99, QUERIES), np.exp(random.uniform(low, high, QUERIES)))
    among = torch.from_numpy(random.normal(scale=6, size=(QUERIES, CLASSES))).softmax(1)
    share = torch.from_numpy(object_share)[:, None]
    colours = random.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3)).astype(np.uint8)
    photo = colours.repeat(16, axis=0).repeat(16, axis=1)
    return photo, prediction, torch.cat([share * among, 1 - share], dim=1).log().float()


def made_up(num_images: int, objectness: tuple[float, float]) -> World:
    """Return images that nobody trained for; the texts are as random as the encoder."""
    made = [synthetic_image(image_id, objectness) for image_id in range(num_images)]
    photos, predictions, logits = (list(column) for column in zip(*made, strict=True))
    names = tuple(f"class {index}" for index in range(CLASSES))
    return World(
        photos=photos,
        predictions=predictions,
        head_logits=logits,
        row_logits={"the head": logits},
        classes=ClassTable(
            name="made up",
            names=names,
            coco_ids=tuple(range(1, CLASSES + 1)),
            is_thing=tuple(index < 80 for index in range(CLASSES)),
            is_seen=tuple(bool(index % 10) for index in range(CLASSES)),
        ),
        text=torch.zeros(CLASSES, 1),
    )


def world_of_run(root: Path, num_images: int) -> World:
    """Return the first val images of a run, its rows of the first seed, and its texts."""
    run = RunDir(root)
    images = itertools.islice((image for file in prediction_files(run) for image in read_predictions(file)), num_images)
    predictions = list(images)
    wanted = {prediction.image_id for prediction in predictions}
    files = sorted((root / "shards" / "val").glob("*.parquet"))
    rows = (row for file in files for row in read_rows(file) if row["image_id"] in wanted)
    photos = {row["image_id"]: decode_row(row).image for row in rows}
    folders = sorted(run.artefact("classifiers").glob("*-seed0"))
    heads = {folder.name: load_classifier(folder) for folder in folders}
    head = load_segmenter(run.artefact("segmenter")).class_head

    def logits_of(classify: Callable[[Tensor], Tensor]) -> list[Tensor]:
        with torch.inference_mode():
            return [classify(torch.from_numpy(prediction.query_embeddings)) for prediction in predictions]

    return World(
        photos=[photos[prediction.image_id] for prediction in predictions],
        predictions=predictions,
        head_logits=logits_of(head),
        row_logits={name: logits_of(classify) for name, classify in heads.items()} or {"the head": logits_of(head)},
        classes=shard_classes(run),
        text=torch.from_numpy(read_embeddings(run).matrix),
    )
