"""Scorers of the image branch: what they read of an image, and what they refuse."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pading.classes import ClassTable
from pading.evaluate.fusion import ImageBranch, fused_scorer, image_scorer
from pading.evaluate.inference import InferenceConfig
from pading.evaluate.predictions import ImagePrediction
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.zegformer import ZegformerConfig, fuse, region_probabilities

CLASSES = ClassTable(
    name="four",
    names=("a", "b", "c", "d"),
    coco_ids=(1, 2, 3, 4),
    is_thing=(True,) * 4,
    is_seen=(True, True, True, False),
)
RANDOM = np.random.default_rng(0)
TEXT = RANDOM.normal(size=(4, 6)).astype(np.float32)
REGIONS = RANDOM.normal(size=(3, 6)).astype(np.float32)
HEAD = LinearClassifier(torch.from_numpy(RANDOM.normal(size=(5, 2)).astype(np.float32)), torch.zeros(5))
IMAGE = ImagePrediction(
    image_id=7,
    height=4,
    width=4,
    content_height=4,
    content_width=4,
    input_px=4,
    query_embeddings=RANDOM.normal(size=(3, 2)).astype(np.float32),
    mask_logits=np.zeros((3, 1, 1), np.float16),
    label_maps=np.zeros((1, 4, 4), np.uint16),
    segments=(),
    regions={"crop+mask": REGIONS},
)
BRANCH = ImageBranch(text=TEXT, logit_scale=5.0, style="crop+mask")


def test_the_scorers_are_the_equations_on_what_is_cached() -> None:
    config, inference = ZegformerConfig(weight=0.3), InferenceConfig(seen_penalty=0.2)
    logits = HEAD(torch.from_numpy(IMAGE.query_embeddings)).detach()
    of_regions = region_probabilities(torch.from_numpy(REGIONS), torch.from_numpy(TEXT), 5.0, logits, "kept")
    alone = image_scorer("img", HEAD, BRANCH, config, inference)
    both = fused_scorer("both", HEAD, BRANCH, CLASSES, config, inference)
    assert alone.inference == both.inference == inference
    assert_close(alone.probabilities(IMAGE, CLASSES), of_regions)
    fused = fuse(logits.softmax(dim=1), of_regions, torch.tensor(CLASSES.is_seen), config)
    assert_close(both.probabilities(IMAGE, CLASSES), fused)


def test_no_class_of_the_classifier_speaks_in_the_image_branch_alone() -> None:
    """Another bias of one class changes how sure of an object the branch is, not which class it sees."""
    other = LinearClassifier(HEAD.weight, torch.tensor([3.0, 0.0, 0.0, 0.0, 0.0]))
    config, inference = ZegformerConfig(), InferenceConfig()
    first, second = (
        image_scorer("img", head, BRANCH, config, inference).probabilities(IMAGE, CLASSES)[:, :-1]
        for head in (HEAD, other)
    )
    assert_close(first / first.sum(dim=1, keepdim=True), second / second.sum(dim=1, keepdim=True))
    assert not torch.allclose(first, second)


def test_regions_that_are_absent_or_of_another_clip_are_refused() -> None:
    pooled = dataclasses.replace(BRANCH, style="pooled")
    narrow = dataclasses.replace(BRANCH, text=TEXT[:, :5])
    for branch, message in (
        (pooled, r"image 7 has no region embeddings 'pooled' \(it has crop\+mask\)"),
        (narrow, r"region embeddings are 6 wide, class text 5; both must come from one CLIP"),
    ):
        scorer = image_scorer("img", HEAD, branch, ZegformerConfig(), InferenceConfig())
        with pytest.raises(ValueError, match=message):
            scorer.probabilities(IMAGE, CLASSES)
