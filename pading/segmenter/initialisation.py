"""Starting weights of a segmenter, drawn from a generator that the caller owns."""

import torch
from torch import nn

from pading.segmenter.class_heads import TextHead
from pading.segmenter.deformable import DeformableAttention
from pading.segmenter.frozen_norm import FrozenBatchNorm
from pading.segmenter.mask_decoder import MaskDecoder
from pading.segmenter.segmenter import Segmenter

NORMS = nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm | FrozenBatchNorm


@torch.no_grad()
def initialise(segmenter: Segmenter, generator: torch.Generator) -> Segmenter:
    """Redraw every weight from `generator`, so that a seed and nothing global decides the start; return the segmenter.

    Convolutions: normal, He's variance over the fan-out. Linear maps: uniform, Glorot. Embeddings: standard normal.
    Biases 0, norm scales 1, query content small, sampling places of deformable attention on rings. Published weights
    of a backbone are loaded after it.
    """
    for module in segmenter.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=generator)
        elif isinstance(module, NORMS):
            nn.init.ones_(module.weight)
        elif isinstance(module, TextHead):
            nn.init.kaiming_uniform_(module.no_object[None], generator=generator)
        elif isinstance(table := getattr(module, "relative_position_bias_table", None), nn.Parameter):
            nn.init.trunc_normal_(table, std=0.02, generator=generator)
        if isinstance(bias := getattr(module, "bias", None), nn.Parameter):
            nn.init.zeros_(bias)
    for module in segmenter.modules():
        if isinstance(module, DeformableAttention):
            module.start_as_rings()
        elif isinstance(module, MaskDecoder):
            module.shrink_content()
    return segmenter
