"""Starting weights of a segmenter, drawn from a generator that the caller owns."""

import torch
from torch import nn

from pading.segmenter.mask_decoder import QUERY_CONTENT_STD
from pading.segmenter.segmenter import Segmenter


@torch.no_grad()
def initialise(segmenter: Segmenter, generator: torch.Generator) -> Segmenter:
    """Redraw every weight from `generator`, so that a seed and nothing global decides the start; return the segmenter.

    Convolutions: normal, He's variance over the fan-out. Linear maps: uniform, Glorot. Embeddings: standard normal.
    Biases 0, norm scales 1, query content small.
    """
    for module in segmenter.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.ones_(module.weight)
        if isinstance(bias := getattr(module, "bias", None), nn.Parameter):
            nn.init.zeros_(bias)
    segmenter.mask_decoder.query_content.weight.mul_(QUERY_CONTENT_STD)
    return segmenter
