"""Parity with transformers' Mask2Former: the same weights, images, points and matches give the same numbers."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pading.segmenter.criterion import CriterionConfig, losses_of_pairs, matched_pairs
from pading.segmenter.huggingface import (
    load_huggingface,
    save_huggingface,
    state_from_huggingface,
)
from pading.segmenter.matcher import LossWeights, matching_cost_at_points, solve
from pading.segmenter.points import uncertain_points
from pading.segmenter.segmenter import Prediction, Segmenter, r50, swin_t
from pading.segmenter.targets import Targets, targets_from_batch
from pading.segmenter.torchvision_on_cpu import make_torchvision_importable

NUM_CLASSES, POINTS, BATCH, STAGES = 7, 1000, 2, ["stage1", "stage2", "stage3", "stage4"]
HEIGHT_PX, WIDTH_PX = 96, 128
NAMES = ("cat", "dog", "cow", "tree-merged", "sky", "sea", "road")
# Which points are uncertain is tested by itself: between candidates of nearly the same logit rounding chooses.
SETTINGS = {"num_labels": NUM_CLASSES, "train_num_points": POINTS, "importance_sample_ratio": 0.0}


class Peer(NamedTuple):
    """Their model, ours with its weights, and the folder they went through."""

    theirs: nn.Module
    ours: Segmenter
    folder: Path


@pytest.fixture(scope="module", params=["resnet", "swin"])
def peer(request, tmp_path_factory) -> Peer:
    make_torchvision_importable()
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, ResNetConfig, SwinConfig

    kind = {"resnet": ResNetConfig, "swin": SwinConfig}[request.param]
    torch.manual_seed(0)
    theirs = Mask2FormerForUniversalSegmentation(
        Mask2FormerConfig(backbone_config=kind(out_features=STAGES), **SETTINGS)
    )
    randomise(theirs)
    folder = tmp_path_factory.mktemp(request.param)
    theirs.save_pretrained(folder)
    return Peer(theirs.eval(), load_huggingface(folder), folder)


def randomise(model: nn.Module) -> None:
    """Give weights that their initialisation leaves at zero or one something to be wrong about."""
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith("normalization.weight"):
                tensor.uniform_(0.25, 0.75)  # larger ones let sixteen residual blocks amplify the rounding
            elif name.endswith("running_var") or ("norm" in name and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("bias") or "sampling_offsets" in name or "attention_weights" in name:
                tensor.add_(torch.randn_like(tensor), alpha=0.1)
            elif name.endswith(("running_mean", "bias_table")):
                tensor.normal_(std=0.2)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    shape = BATCH, 3, HEIGHT_PX, WIDTH_PX
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).float()


@pytest.fixture(scope="module")
def targets() -> Targets:
    """Two images, all labelled, with segments whose outlines cut cells."""
    labels = torch.randint(1, 6, (BATCH, 16, 22), generator=torch.Generator().manual_seed(2))
    maps = labels.repeat_interleave(6, 1).repeat_interleave(6, 2)[:, :HEIGHT_PX, :WIDTH_PX].byte()
    return targets_from_batch(maps[:, None].contiguous(), torch.tensor([[3, 1, 1, 0, 6], [5, 2, 4, 0, 0]]))


def normalised(segmenter: Segmenter, pixels: torch.Tensor) -> torch.Tensor:
    return (pixels - segmenter.image_mean) / segmenter.image_std


def test_every_prediction_equals_that_of_transformers(peer, pixels):
    with torch.no_grad():
        output = peer.theirs(normalised(peer.ours, pixels), output_auxiliary_logits=True)
        predictions = peer.ours(pixels)
    final = {"class_queries_logits": output.class_queries_logits, "masks_queries_logits": output.masks_queries_logits}
    for theirs, ours in zip([*output.auxiliary_logits, final], predictions, strict=True):
        torch.testing.assert_close(ours.class_logits, theirs["class_queries_logits"], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.mask_logits, theirs["masks_queries_logits"], rtol=1e-4, atol=1e-4)
    hidden = peer.theirs.model.transformer_module.decoder.layernorm(output.transformer_decoder_last_hidden_state)
    torch.testing.assert_close(predictions[-1].query_embeddings, hidden, rtol=1e-4, atol=1e-4)
    features = output.pixel_decoder_last_hidden_state
    torch.testing.assert_close(predictions[-1].mask_features, features, rtol=1e-4, atol=1e-4)


@pytest.fixture
def double():
    """In float32 a unit of a ReLU within rounding of zero learns in one network and not in the other."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def in_double(peer: Peer) -> Peer:
    return peer._replace(theirs=deepcopy(peer.theirs).double(), ours=deepcopy(peer.ours).double())


@pytest.mark.usefixtures("double")
def test_loss_and_gradients_equal_those_of_transformers_at_the_same_points(peer, pixels, targets, tmp_path):
    peer, targets = in_double(peer), replace(targets, masks=targets.masks.double(), valid=targets.valid.double())
    pixels = pixels.double()
    segments = [targets.masks[image][targets.is_segment[image]] for image in range(BATCH)]
    classes = [targets.classes[image][targets.is_segment[image]] for image in range(BATCH)]
    torch.manual_seed(3)
    peer.theirs.zero_grad()
    output = peer.theirs(normalised(peer.ours, pixels), mask_labels=segments, class_labels=classes)
    output.loss.backward()

    peer.ours.zero_grad()
    losses = losses_at_their_points(peer.ours(pixels), targets, seed=3)
    sum(losses.values()).backward()
    assert sum(losses.values()).item() == pytest.approx(output.loss.item(), rel=1e-6)

    mine = {name: parameter.grad for name, parameter in peer.ours.named_parameters()}
    wanted = gradients_under_our_names(peer, tmp_path)
    largest = max(gradient.norm().item() for gradient in mine.values())
    for name, gradient in mine.items():
        # The bias of keys has no gradient but rounding: it is measured against all others.
        assert (gradient - wanted[name]).norm() <= 1e-6 * wanted[name].norm() + 1e-12 * largest, name


def losses_at_their_points(predictions, targets, seed):
    """Draw points in the order in which they do (last layer first; to match, then to compare), and match at them."""
    torch.manual_seed(seed)
    layers = range(len(predictions))
    query, uniform = {}, {}
    for layer in [layers[-1], *layers[:-1]]:
        costs = [costs_at(predictions[layer], targets, image, torch.rand(POINTS, 2)) for image in range(BATCH)]
        query[layer] = solve(torch.cat(costs, dim=1), targets)[0]
        order = sorted(
            (image, int(row), segment)
            for image, rows in enumerate(query[layer])
            for segment, row in enumerate(rows)
            if row >= 0
        )
        torch.rand(len(order), 3 * POINTS, 2)  # candidates that nobody wants
        drawn = torch.rand(len(order), POINTS, 2)
        for index, (image, _, segment) in enumerate(order):
            uniform[layer, image, segment] = drawn[index]
    pairs = matched_pairs(predictions, torch.stack([query[layer] for layer in layers]))
    keys = list(zip(pairs.layer.tolist(), pairs.image.tolist(), pairs.segment.tolist(), strict=True))
    points = torch.stack([uniform[key] for key in keys])
    return losses_of_pairs(predictions, targets, pairs, points, targets.num_masks, CriterionConfig())


def test_the_same_candidates_are_uncertain(peer):
    logits = torch.randn(6, 24, 32, generator=torch.Generator().manual_seed(4))
    criterion = peer.theirs.criterion
    torch.manual_seed(5)
    settings = criterion.calculate_uncertainty, POINTS, 3.0, 0.75
    theirs = criterion.sample_points_using_uncertainty(logits[:, None], *settings)
    torch.manual_seed(5)
    candidates, uniform = torch.rand(6, 3 * POINTS, 2), torch.rand(6, POINTS // 4, 2)
    alone = zip(logits.split(1), candidates, strict=True)  # their masks have candidates of their own
    uncertain = torch.cat([uncertain_points(mask, its_own, 3 * POINTS // 4) for mask, its_own in alone])
    ours = torch.cat([uncertain, uniform], dim=1)
    for mine, other in zip(ours.tolist(), theirs.tolist(), strict=True):
        assert sorted(mine) == sorted(other)


@torch.no_grad()
def costs_at(prediction, targets, image, points):
    one = slice(image, image + 1)
    single = Targets(targets.classes[one], targets.masks[one], targets.valid[one], targets.image_ids[one])
    parts = prediction.query_embeddings[one], prediction.class_logits[one], prediction.mask_logits[one]
    return matching_cost_at_points([Prediction(*parts)], single, LossWeights(), points)


def gradients_under_our_names(peer: Peer, folder: Path) -> dict[str, torch.Tensor]:
    """Let gradients take the way of weights, which they replace: through a file of theirs and the table of names."""
    with torch.no_grad():
        for parameter in peer.theirs.parameters():
            parameter.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
        peer.theirs.save_pretrained(folder)
    return state_from_huggingface(load_file(folder / "model.safetensors"), peer.ours.config)


def test_a_folder_of_ours_is_read_by_transformers(peer, pixels, tmp_path):
    save_huggingface(tmp_path, peer.ours, NAMES)
    again = type(peer.theirs).from_pretrained(tmp_path).eval()
    assert again.config.id2label == dict(enumerate(NAMES))
    images = normalised(peer.ours, pixels[:1])
    with torch.no_grad():
        mine, other = peer.theirs(images), again(images)
    torch.testing.assert_close(mine.class_queries_logits, other.class_queries_logits, rtol=0, atol=0)
    torch.testing.assert_close(mine.masks_queries_logits, other.masks_queries_logits, rtol=0, atol=0)


def test_configurations_are_the_published_ones(peer):
    wanted = {"resnet50": r50(), "swin_tiny_patch4_window7_224": replace(swin_t(), drop_path_rate=0.1)}
    assert peer.ours.config == wanted[peer.ours.config.backbone]
    assert peer.ours.num_classes == NUM_CLASSES
    assert not peer.ours.training
