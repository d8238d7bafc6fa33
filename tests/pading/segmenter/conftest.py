"""A small batch with everything that can be awkward.

Background, overlapping segments, void, padding rows, an empty image, a segment without pixels.
"""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pading.data.views.labels import IGNORED
from pading.segmenter.initialisation import initialise
from pading.segmenter.segmenter import Prediction, Segmenter, SegmenterConfig
from pading.segmenter.targets import Targets, targets_from_batch

NUM_CLASSES = 6
CONFIG = SegmenterConfig(
    backbone_channels=(32, 32, 32),
    backbone_blocks=(1, 1, 1),
    width=32,
    queries=7,
    decoder_layers=3,
    heads=4,
    feedforward_width=64,
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from more, and lose much where other processes want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def segmenter() -> Segmenter:
    return initialise(Segmenter(CONFIG, NUM_CLASSES), torch.Generator().manual_seed(0))


@pytest.fixture
def label_maps() -> torch.Tensor:
    maps = (
        np.random.default_rng(0)
        .integers(0, 4, (4, 4, 4))
        .repeat(5, axis=1)
        .repeat(5, axis=2)[:, :16, :16]
        .astype(np.uint8)
    )
    maps[1] = 0  # an empty image
    maps[2, 12:] = 0  # padding
    maps[3][maps[3] == 2] = 0  # segment 1 of the last image has no pixels
    layers = np.stack([np.where(maps == 0, IGNORED, maps), np.zeros_like(maps)], axis=1)
    layers[0, 0] = np.where(maps[0] == 3, 0, maps[0])  # the first image has background, and segment 2 in its own layer
    layers[0, 1, 3:14, 2:9] = 3
    return torch.from_numpy(layers.astype(np.uint8))


@pytest.fixture
def classes() -> torch.Tensor:
    return torch.tensor([[3, 1, 1, -1], [-1, -1, -1, -1], [0, 5, 2, -1], [4, 2, 0, -1]])


@pytest.fixture
def targets(label_maps: torch.Tensor, classes: torch.Tensor) -> Targets:
    return targets_from_batch(label_maps, classes, torch.tensor([10, 11, 12, 13]))


@pytest.fixture
def predictions() -> list[Prediction]:
    """Three layers of arbitrary logits for four images of 16 px."""
    random = torch.Generator().manual_seed(1)
    return [
        Prediction(
            query_embeddings=torch.randn(4, 5, 8, generator=random),
            class_logits=torch.randn(4, 5, NUM_CLASSES + 1, generator=random, requires_grad=True),
            mask_logits=(3 * torch.randn(4, 5, 4, 4, generator=random)).requires_grad_(),
            cell_logits=torch.randn(4, NUM_CLASSES, 2, 2, generator=random, requires_grad=True) if is_last else None,
        )
        for is_last in (False, False, True)
    ]
