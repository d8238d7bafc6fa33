"""Checkpointing and compilation change what training costs, never what it computes."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from pading.segmenter.acceleration import accelerate, repeated_layers
from pading.segmenter.criterion import CriterionConfig, criterion
from pading.segmenter.initialisation import initialise
from pading.segmenter.segmenter import Segmenter, r50, tiny
from pading.segmenter.targets import Targets, targets_from_batch

NUM_CLASSES, SIDE_PX = 6, 64
SIZES = {"width": 32, "queries": 5, "heads": 4, "encoder_layers": 2, "decoder_layers": 3, "feedforward_width": 48}
PUBLISHED = replace(r50(), **SIZES)
CONFIGS = {
    "smallest": replace(tiny(), backbone_channels=(16, 16), backbone_blocks=(1, 1), decoder_layers=1),
    "smallest published": replace(PUBLISHED, backbone="resnet18", encoder_layers=1, decoder_layers=1),
    "tiny": tiny(),
    "resnet18": replace(PUBLISHED, backbone="resnet18"),
    "resnet18 with moving norms": replace(PUBLISHED, backbone="resnet18", frozen_norms=False),
    "maskformer": replace(PUBLISHED, backbone="resnet18", pixel_decoder="fpn", mask_decoder="maskformer", dropout=0.2),
    "swin": replace(PUBLISHED, backbone="swin_tiny_patch4_window7_224", drop_path_rate=0.5),
}


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, SIDE_PX, SIDE_PX), generator=random, dtype=torch.uint8)


@pytest.fixture(scope="module")
def labelled() -> Targets:
    maps = torch.randint(0, 4, (2, 4, 4), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    return targets_from_batch(
        maps.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, None], torch.tensor([[0, 1, 2], [5, 3, 4]])
    )


def made(name: str, **how: bool) -> Segmenter:
    segmenter = initialise(Segmenter(CONFIGS[name], NUM_CLASSES), torch.Generator().manual_seed(0)).train()
    accelerate(segmenter, **{"checkpoint_activations": False, "compile": False, **how})
    return segmenter


def step(segmenter: Segmenter, images, targets, *, precision=torch.float32):
    """Return the losses and gradients of a step whose paths are dropped by one seed."""
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        predictions = segmenter(images)
    draws = torch.Generator().manual_seed(3)
    losses = criterion(predictions, targets, targets.num_masks, CriterionConfig(num_points=200), draws)
    torch.manual_seed(8)  # the second forward must draw what the first one drew
    sum(losses.values()).backward()
    return losses, {name: parameter.grad for name, parameter in segmenter.named_parameters()}


def bytes_kept(segmenter: Segmenter, images) -> int:
    """Return the size of all that a forward keeps for the backward pass, but for weights and images."""
    kept: dict[int, int] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def keep_inputs(module, inputs):  # those of a checkpoint are seen by no hook of autograd
        for tensor in inputs:
            if isinstance(tensor, torch.Tensor):
                keep(tensor)

    handles = [layer.register_forward_pre_hook(keep_inputs) for layer in repeated_layers(segmenter)]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        predictions = segmenter(images)  # alive until all is counted, so that no place is given away twice
    for handle in handles:
        handle.remove()
    own = {tensor.untyped_storage().data_ptr() for tensor in (*segmenter.parameters(), *segmenter.buffers(), images)}
    assert len(predictions) > 1
    return sum(size for place, size in kept.items() if place not in own)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", list(CONFIGS)[2:])
def test_activations_made_anew_give_the_same_step(name, precision, images, labelled):
    plain, checkpointed = made(name), made(name, checkpoint_activations=True)
    losses, gradients = step(plain, images, labelled, precision=precision)
    again, same = step(checkpointed, images, labelled, precision=precision)
    for part in losses:
        torch.testing.assert_close(again[part], losses[part], rtol=1e-6, atol=0)
    for parameter, gradient in gradients.items():
        assert (same[parameter] - gradient).norm() <= 1e-6 * gradient.norm(), parameter
    buffers = dict(plain.named_buffers())
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in checkpointed.named_buffers())


@pytest.mark.parametrize(
    ("name", "share"), [("tiny", 0.65), ("resnet18", 0.1), ("resnet18 with moving norms", 0.4), ("swin", 0.15)]
)
def test_activations_made_anew_are_not_kept(name, share, images):
    kept, smaller = bytes_kept(made(name), images), bytes_kept(made(name, checkpoint_activations=True), images)
    assert smaller < share * kept


@pytest.mark.parametrize(("name", "count"), [("tiny", 3 + 3), ("resnet18", 3 + 2 + 8), ("swin", 3 + 2 + 12)])
def test_every_block_and_layer_is_made_anew(name, count):
    assert len(repeated_layers(made(name))) == count


def test_evaluation_runs_once(images):
    segmenter = made("tiny", checkpoint_activations=True).eval()
    wanted = made("tiny").eval()(images)[-1].mask_logits
    calls = []
    handle = segmenter.backbone.stages[0][0].conv1.register_forward_hook(lambda *_: calls.append(1))
    mask_logits = segmenter(images)[-1].mask_logits
    mask_logits.sum().backward()
    handle.remove()
    assert len(calls) == 1
    assert torch.equal(mask_logits, wanted)


def test_a_copy_runs_on_its_own_weights(images):
    segmenter = made("tiny", checkpoint_activations=True)
    copy = deepcopy(segmenter)
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.zero_()
    assert torch.equal(copy(images)[-1].mask_logits, made("tiny")(images)[-1].mask_logits)


@pytest.mark.filterwarnings("default")  # the compiler's own
@pytest.mark.parametrize("how", [{"checkpoint_activations": True}, {"compile": True}])
def test_weights_keep_their_names(how):
    assert made("tiny", **how).state_dict().keys() == made("tiny").state_dict().keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler's own
@pytest.mark.parametrize(
    ("name", "checkpoint_activations"), [("smallest", False), ("smallest", True), ("smallest published", True)]
)
def test_compiled_parts_give_the_same_step(name, checkpoint_activations, images, labelled):
    losses, gradients = step(made(name), images, labelled)
    compiled = made(name, compile=True, checkpoint_activations=checkpoint_activations)
    torch._dynamo.utils.counters.clear()
    try:
        again, same = step(compiled, images, labelled)
    except torch._dynamo.exc.BackendCompilerFailed as error:
        pytest.skip(f"this machine does not compile: {error}")
    assert not torch._dynamo.utils.counters["graph_break"]
    for part in losses:
        torch.testing.assert_close(again[part], losses[part], rtol=1e-4, atol=0)
    largest = max(gradient.norm() for gradient in gradients.values())
    for parameter, gradient in gradients.items():
        # The bias of keys has no gradient but rounding: it is measured against all others.
        assert (same[parameter] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6 * largest, parameter
