"""What a segmenter costs to train, without changing what it computes: activations made anew, parts compiled."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from pading.segmenter.backbone import ConvBackbone
from pading.segmenter.deformable_decoder import DeformableDecoder
from pading.segmenter.segmenter import Segmenter
from pading.segmenter.timm_backbone import TimmBackbone

TIMM_BLOCKS = re.compile(r"network\.(layer\d+|.+\.blocks)")  # resnet*; swin_* and convnext_*


def accelerate(segmenter: Segmenter, *, checkpoint_activations: bool, compile: bool) -> None:
    """Let a segmenter train in less memory, in less time, or both; names of weights stay as they are.

    Checkpointed, the blocks of the backbone and the layers of both decoders keep only their inputs in training, and run
    a second time in the backward pass: about a third more time for what is left of the memory. Compiled are the
    backbone and the pixel decoder, for every size of images by itself; queries are too few to gain.
    """
    if checkpoint_activations:
        for layer in repeated_layers(segmenter):
            layer.forward = partial(_forward_twice, layer.forward)
    if compile:
        segmenter.backbone.compile(dynamic=False)
        segmenter.pixel_decoder.compile(dynamic=False)


def repeated_layers(segmenter: Segmenter) -> list[nn.Module]:
    """Return the layers that a segmenter stacks: nearly all activations lie between their inputs and outputs."""
    backbone, pixel_decoder = segmenter.backbone, segmenter.pixel_decoder
    layers = [*segmenter.mask_decoder.layers]
    if isinstance(pixel_decoder, DeformableDecoder):
        layers += pixel_decoder.layers
    if isinstance(backbone, ConvBackbone):
        layers += backbone.stages
    if isinstance(backbone, TimmBackbone):
        stages = (module for name, module in backbone.named_modules() if TIMM_BLOCKS.fullmatch(name))
        layers += (block for stage in stages for block in stage.children())
    return layers


def _forward_twice(forward: Callable[..., Any], *inputs: Any) -> Any:
    """Call a module's own forward, and where gradients are to come once more in the backward pass."""
    module: nn.Module = forward.__self__  # type: ignore[attr-defined]
    if not (module.training and torch.is_grad_enabled()):
        return forward(*inputs)
    norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm) and norm.track_running_stats]
    if not norms or torch.compiler.is_compiling():  # a compiled graph changes its buffers once by itself
        return checkpoint(forward, *inputs, use_reentrant=False)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=partial(_first_and_second, norms))


def _first_and_second(norms: list[_BatchNorm]) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _at_rest(norms)


@contextmanager
def _at_rest(norms: list[_BatchNorm]) -> Iterator[None]:
    """Normalise by the batch, and leave the running statistics as they are: they have seen it."""
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
