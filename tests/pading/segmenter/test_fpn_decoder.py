import torch
from torch.nn.functional import conv2d, group_norm, interpolate, relu

from pading.segmenter.backbone import Level
from pading.segmenter.fpn_decoder import FpnDecoder


def levels(seed=0):
    random = torch.Generator().manual_seed(seed)
    sizes = {4: (16, 16, 24), 8: (24, 8, 12), 16: (40, 4, 6)}
    return [Level(stride, torch.randn(2, *size, generator=random)) for stride, size in sizes.items()]


def decoder():
    torch.manual_seed(0)
    return FpnDecoder((16, 24, 40), 32)


def test_the_pyramid_is_the_one_written_down_step_by_step():
    made, (fine, middle, coarse) = decoder(), [level.features for level in levels()]

    def smooth(x, part):
        return relu(group_norm(conv2d(x, part[0].weight, padding=1), 32, part[1].weight, part[1].bias))

    def beside(x, part):
        return group_norm(conv2d(x, part[0].weight), 32, part[1].weight, part[1].bias)

    x = smooth(coarse, made.stem)
    for features, lateral, merge in (
        (middle, made.laterals[0], made.merges[0]),
        (fine, made.laterals[1], made.merges[1]),
    ):
        x = smooth(interpolate(x, scale_factor=2, mode="nearest") + beside(features, lateral), merge)
    wanted = conv2d(x, made.mask_features.weight, made.mask_features.bias, padding=1)
    torch.testing.assert_close(made(levels())[0], wanted, rtol=1e-4, atol=1e-5)


def test_the_mask_decoder_gets_the_backbones_last_level_and_no_other():
    made = decoder()
    _, given = made(levels())
    assert [level.stride for level in given] == [16]
    assert len(given) == made.num_levels
    last = levels()[-1].features
    torch.testing.assert_close(given[0].features, conv2d(last, made.project.weight, made.project.bias))
