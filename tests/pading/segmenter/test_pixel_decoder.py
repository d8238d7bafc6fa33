import torch

from pading.segmenter.backbone import ConvBackbone, Level
from pading.segmenter.pixel_decoder import PyramidDecoder


def test_the_backbone_returns_levels_from_stride_four_down():
    levels = ConvBackbone((32, 64, 96), (1, 2, 1))(torch.randn(2, 3, 64, 96))
    assert [(level.stride, tuple(level.features.shape)) for level in levels] == [
        (4, (2, 32, 16, 24)),
        (8, (2, 64, 8, 12)),
        (16, (2, 96, 4, 6)),
    ]


def test_mask_features_have_the_finest_stride_and_levels_come_coarsest_first():
    levels = [
        Level(4, torch.randn(1, 32, 16, 24)),
        Level(8, torch.randn(1, 64, 8, 12)),
        Level(16, torch.randn(1, 96, 4, 6)),
    ]
    mask_features, merged = PyramidDecoder((32, 64, 96), 32)(levels)
    assert mask_features.shape == (1, 32, 16, 24)
    assert [(level.stride, tuple(level.features.shape)) for level in merged] == [
        (16, (1, 32, 4, 6)),
        (8, (1, 32, 8, 12)),
    ]


def test_coarse_features_reach_every_finer_level():
    decoder = PyramidDecoder((32, 32), 32)
    fine, coarse = torch.randn(1, 32, 4, 4), torch.randn(1, 32, 2, 2, requires_grad=True)
    mask_features, _ = decoder([Level(4, fine), Level(8, coarse)])
    mask_features.square().sum().backward()
    assert (coarse.grad.abs().sum(dim=1) > 0).all()
