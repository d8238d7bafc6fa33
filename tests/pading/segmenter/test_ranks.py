"""Ranks and micro-batches whose generators agree: their steps average to the step of the whole batch."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pading.segmenter.criterion import CriterionConfig, criterion
from pading.segmenter.initialisation import initialise
from pading.segmenter.segmenter import Segmenter, r50, tiny
from pading.segmenter.targets import targets_from_batch

NUM_CLASSES, BATCH, SIDE_PX, POINTS = 6, 4, 64, 150
SMALL = {"width": 32, "queries": 6, "heads": 4, "encoder_layers": 1, "decoder_layers": 2, "feedforward_width": 48}


@pytest.fixture
def double():
    """In float32 a candidate within rounding of another is chosen in one batch and not in the other."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=[tiny(), replace(r50(), backbone="resnet18", **SMALL)], ids=["tiny", "published"])
def segmenter(request, double) -> Segmenter:
    made = initialise(Segmenter(request.param, NUM_CLASSES), torch.Generator().manual_seed(0)).train()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # its statistics are those of a worker's own images
    return made


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return images, label maps and classes; images differ in how many segments they have, and one has none."""
    random = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (BATCH, 3, SIDE_PX, SIDE_PX), generator=random, dtype=torch.uint8)
    blocks = torch.randint(1, 5, (BATCH, 1, 8, 8), generator=random, dtype=torch.uint8)
    blocks[1], blocks[2, :, 4:] = 0, 255
    classes = torch.tensor([[3, 1, 1, 0], [-1] * 4, [0, 5, -1, -1], [4, 2, 0, 5]])
    blocks[2] = torch.where((blocks[2] > 2) & (blocks[2] < 255), 0, blocks[2])
    return images.double(), blocks.repeat_interleave(8, 2).repeat_interleave(8, 3), classes


def step(segmenter: Segmenter, num_parts: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Return the mean losses and gradients of a batch that is dealt to so many ranks."""
    segmenter.zero_grad()
    images, label_maps, classes = batch()
    num_masks = targets_from_batch(label_maps, classes).num_masks
    losses: dict[str, float] = {}
    for part in torch.arange(BATCH).chunk(num_parts):
        targets = targets_from_batch(label_maps[part], classes[part])
        targets = replace(targets, masks=targets.masks.double(), valid=targets.valid.double())
        parts = criterion(
            segmenter(images[part]),
            targets,
            num_masks / num_parts,
            CriterionConfig(num_points=POINTS),
            torch.Generator().manual_seed(5),
        )
        (sum(parts.values()) / num_parts).backward()
        losses = {name: losses.get(name, 0.0) + value.item() / num_parts for name, value in parts.items()}
    return losses, {name: parameter.grad.clone() for name, parameter in segmenter.named_parameters()}


def test_one_two_and_four_ranks_take_the_same_step(segmenter):
    losses, gradients = step(segmenter, 1)
    largest = max(gradient.norm() for gradient in gradients.values())
    for num_parts in (2, 4):
        mine, same = step(segmenter, num_parts)
        assert mine == pytest.approx(losses, rel=1e-5)
        for name, gradient in gradients.items():
            assert (same[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-12 * largest, name
