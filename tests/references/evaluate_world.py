"""A small random world for tests of scores: things and stuff, seen and unseen, crowds, queries of any quality."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch

from pading.classes import ClassTable
from pading.data.sample import Segment
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction
from pading.evaluate.scorer import Scorer, head_scorer

NUM_QUERIES = 6


def random_image(image_id: int, classes: ClassTable) -> ImagePrediction:
    """Segments of random classes (some crowds), and queries whose masks resemble them to varying degrees."""
    rng = np.random.default_rng(image_id)
    label_map = np.kron(rng.integers(0, 5, (3, 3)), np.ones((4, 4))).astype(np.uint16)
    logits = rng.normal(scale=2, size=(NUM_QUERIES, 12, 12))
    for query in range(NUM_QUERIES):
        logits[query] += np.where(label_map == query, 4, -4)
    segments = tuple(
        Segment(
            segment_id=1 + i,
            class_index=int(rng.integers(classes.num_classes)),
            is_crowd=bool(rng.random() < 0.15),
            area_px=16,
        )
        for i in range(4)
    )
    embeddings = rng.normal(size=(NUM_QUERIES, 8)) / 2
    for query, segment in enumerate(segments, start=1):  # what a query resembles, its embedding tells
        embeddings[query, segment.class_index] += 2
    return ImagePrediction(
        image_id=image_id,
        height=12,
        width=12,
        content_height=12,
        content_width=12,
        input_px=12,
        query_embeddings=embeddings.astype(np.float32),
        mask_logits=logits.astype(np.float16),
        label_maps=label_map[None],
        segments=segments,
    )


def smooth_image(image_id: int, classes: ClassTable) -> ImagePrediction:
    """A larger image of which most pixels are inside or outside of every mask: three bars, void between them."""
    rng = np.random.default_rng(image_id)
    height, width, cell = 48, 64, 4
    label_map = np.zeros((height, width), dtype=np.uint16)
    logits = np.full((NUM_QUERIES, height // cell, width // cell), -6.0)
    for bar in range(3):
        left = 20 * bar + int(rng.integers(4))
        label_map[4 : 40 + bar, left : left + 18] = bar + 1
        for query in (bar, bar + 3):  # two queries compete for a bar, neither of them quite fits
            top = int(rng.integers(3))
            logits[query, top : top + 9, left // cell : left // cell + 4 + query % 2] = 6 + bar
    logits += rng.normal(scale=0.7, size=logits.shape)
    segments = tuple(
        Segment(segment_id=1 + i, class_index=int(rng.integers(classes.num_classes)), is_crowd=i == 2, area_px=16)
        for i in range(3)
    )
    embeddings = rng.normal(size=(NUM_QUERIES, 8)) / 2
    for query in range(NUM_QUERIES):
        embeddings[query, segments[query % 3].class_index] += 2
    return ImagePrediction(
        image_id=image_id,
        height=height,
        width=width,
        content_height=height,
        content_width=width,
        input_px=64,
        query_embeddings=embeddings.astype(np.float32),
        mask_logits=np.pad(logits, ((0, 0), (0, 4), (0, 0)), constant_values=-6).astype(np.float16),
        label_maps=label_map[None],
        segments=segments,
    )


def random_world() -> SimpleNamespace:
    """Return `classes`, `images`, `smooth_images`, `image(id)`, `scorer(seed, inference)` and its `inference`."""
    classes = ClassTable(
        name="five",
        names=("dog", "cat", "ant", "sky", "grass"),
        coco_ids=(1, 2, 3, 4, 5),
        is_thing=(True, True, True, False, False),
        is_seen=(True, False, True, True, False),
    )
    lenient = InferenceConfig(object_score_threshold=0.3, overlap_threshold=0.3)

    def scorer(seed: int, inference: InferenceConfig = lenient) -> Scorer:
        weight = torch.randn(8, 6, generator=torch.Generator().manual_seed(seed)) + 2 * torch.eye(8, 6)
        head: Callable = lambda embeddings: embeddings @ weight  # noqa: E731
        return head_scorer(f"row {seed}", head, inference)

    images = [random_image(image_id, classes) for image_id in (7, 3, 11, 5, 2, 13, 1, 17)]
    return SimpleNamespace(
        classes=classes,
        images=images,
        smooth_images=[smooth_image(image_id, classes) for image_id in range(40, 45)],
        image=lambda image_id: random_image(image_id, classes),
        scorer=scorer,
        lenient=lenient,
    )
