"""Parity with transformers' MaskFormer: the same weights and images give the same logits, costs, losses and gradients.

Theirs makes earlier predictions from states without the last norm, and one from queries that have seen nothing; the
published network normalises each, and ours does: of these the states are compared, and the losses on logits of ours.
"""

from copy import deepcopy
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pading.segmenter.criterion import CriterionConfig, criterion
from pading.segmenter.huggingface import load_huggingface, save_huggingface, state_from_huggingface
from pading.segmenter.matcher import LossWeights
from pading.segmenter.segmenter import Segmenter, maskformer_r50
from pading.segmenter.targets import Targets, targets_from_batch
from pading.segmenter.torchvision_on_cpu import make_torchvision_importable

NUM_CLASSES, BATCH, STAGES = 7, 2, ["stage1", "stage2", "stage3", "stage4"]
HEIGHT_PX, WIDTH_PX = 96, 128
NAMES = ("cat", "dog", "cow", "tree-merged", "sky", "sea", "road")
LOSSES = CriterionConfig(weights=LossWeights(classification=1.0, cross_entropy=0.0, dice=1.0, focal=20.0))


class Peer(NamedTuple):
    """Their model and ours with its weights."""

    theirs: nn.Module
    ours: Segmenter


@pytest.fixture(scope="module")
def peer(tmp_path_factory) -> Peer:
    make_torchvision_importable()
    from transformers import MaskFormerConfig, MaskFormerForInstanceSegmentation, ResNetConfig

    torch.manual_seed(0)
    config = MaskFormerConfig(backbone_config=ResNetConfig(out_features=STAGES), num_labels=NUM_CLASSES)
    theirs = MaskFormerForInstanceSegmentation(config)
    with torch.no_grad():  # what an initialisation leaves at zero or one is something to be wrong about
        for name, tensor in [*theirs.named_parameters(), *theirs.named_buffers()]:
            if name.endswith("normalization.weight"):
                tensor.uniform_(0.25, 0.75)  # larger ones let sixteen residual blocks amplify the rounding
            elif name.endswith("running_var") or ("norm" in name and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("running_mean"):
                tensor.normal_(std=0.2)
            elif name.endswith("bias"):
                tensor.add_(torch.randn_like(tensor), alpha=0.1)
    folder = tmp_path_factory.mktemp("maskformer")
    theirs.save_pretrained(folder)
    return Peer(theirs.eval(), load_huggingface(folder))


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    shape = BATCH, 3, HEIGHT_PX, WIDTH_PX
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(1)).float()


@pytest.fixture(scope="module")
def targets() -> Targets:
    """Two images, all labelled, with segments whose outlines follow the cells: theirs knows no shares of a cell."""
    labels = torch.randint(1, 6, (BATCH, 12, 16), generator=torch.Generator().manual_seed(2))
    maps = labels.repeat_interleave(8, 1).repeat_interleave(8, 2).byte()
    return targets_from_batch(maps[:, None].contiguous(), torch.tensor([[3, 1, 1, 0, 6], [5, 2, 4, 0, 0]]))


def normalised(segmenter: Segmenter, pixels: torch.Tensor) -> torch.Tensor:
    return (pixels - segmenter.image_mean) / segmenter.image_std


def labels_of(targets: Targets) -> dict[str, list[torch.Tensor]]:
    return {
        "mask_labels": [masks[exists] for masks, exists in zip(targets.masks, targets.is_segment, strict=True)],
        "class_labels": [classes[exists] for classes, exists in zip(targets.classes, targets.is_segment, strict=True)],
    }


@torch.no_grad()
def test_the_prediction_and_every_state_equal_those_of_transformers(peer, pixels):
    output = peer.theirs(normalised(peer.ours, pixels), output_hidden_states=True)
    predictions = peer.ours(pixels)
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(predictions[-1].class_logits, output.class_queries_logits, **close)
    torch.testing.assert_close(predictions[-1].mask_logits, output.masks_queries_logits, **close)
    torch.testing.assert_close(predictions[-1].mask_features, output.pixel_decoder_last_hidden_state, **close)
    start, *states, last = output.transformer_decoder_hidden_states
    assert not start.any()
    norm = peer.theirs.model.transformer_module.decoder.layernorm
    for prediction, state in zip(predictions, [*map(norm, states), last], strict=True):
        torch.testing.assert_close(prediction.query_embeddings, state, **close)


@torch.no_grad()
def test_losses_of_every_layer_equal_those_of_transformers(peer, pixels, targets):
    predictions = peer.ours(pixels)
    layers = [{"masks_queries_logits": p.mask_logits, "class_queries_logits": p.class_logits} for p in predictions]
    theirs = peer.theirs.get_loss_dict(**layers[-1], **labels_of(targets), auxiliary_logits=layers[:-1])
    ours = criterion(predictions, targets, targets.num_masks, LOSSES)
    for name, part in (("class", "cross_entropy"), ("mask", "mask"), ("dice", "dice")):
        wanted = sum(loss for key, loss in theirs.items() if key.startswith(f"loss_{part}"))
        torch.testing.assert_close(ours[name], wanted, rtol=1e-5, atol=1e-6)


@pytest.fixture
def double():
    """In float32 a unit of a ReLU within rounding of zero learns in one network and not in the other."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double")
def test_loss_and_gradients_equal_those_of_transformers(peer, pixels, targets, tmp_path):
    theirs, ours = deepcopy(peer.theirs).double(), deepcopy(peer.ours).double()
    targets = replace(targets, masks=targets.masks.double(), valid=targets.valid.double())
    pixels = pixels.double()
    output = theirs(normalised(ours, pixels), **labels_of(targets))
    output.loss.backward()
    losses = criterion(ours(pixels)[-1:], targets, targets.num_masks, LOSSES)
    sum(losses.values()).backward()
    assert sum(losses.values()).item() == pytest.approx(output.loss.item(), rel=1e-6)

    mine = {name: parameter.grad for name, parameter in ours.named_parameters()}
    with torch.no_grad():  # gradients take the way of weights, through a file of theirs and the table of names
        for parameter in theirs.parameters():
            parameter.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
        theirs.save_pretrained(tmp_path)
    wanted = state_from_huggingface(load_file(tmp_path / "model.safetensors"), ours.config)
    largest = max(gradient.norm().item() for gradient in mine.values())
    for name, gradient in mine.items():
        # The bias of keys has no gradient but rounding: it is measured against all others.
        assert (gradient - wanted[name]).norm() <= 1e-6 * wanted[name].norm() + 1e-12 * largest, name


def test_a_folder_of_ours_is_read_by_transformers(peer, pixels, tmp_path):
    save_huggingface(tmp_path, peer.ours, NAMES)
    again = type(peer.theirs).from_pretrained(tmp_path).eval()
    assert again.config.id2label == dict(enumerate(NAMES))
    images = normalised(peer.ours, pixels[:1])
    with torch.no_grad():
        mine, other = peer.theirs(images), again(images)
    torch.testing.assert_close(mine.class_queries_logits, other.class_queries_logits, rtol=0, atol=0)
    torch.testing.assert_close(mine.masks_queries_logits, other.masks_queries_logits, rtol=0, atol=0)


def test_the_configuration_is_the_published_one(peer):
    assert peer.ours.config == maskformer_r50()
    assert (peer.ours.num_classes, peer.ours.training) == (NUM_CLASSES, False)
