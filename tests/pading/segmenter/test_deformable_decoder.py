import pytest
import torch

from pading.segmenter.backbone import Level
from pading.segmenter.deformable import DeformableAttention
from pading.segmenter.deformable_decoder import DeformableDecoder, cell_centres


@pytest.fixture
def decoder() -> DeformableDecoder:
    torch.manual_seed(0)
    decoder = DeformableDecoder((6, 8, 10), 32, layers=2, heads=4, points=2, feedforward_width=16)
    for module in decoder.modules():
        if isinstance(module, DeformableAttention):
            module.start_as_rings()
    return decoder


def levels(seed=0, side=16):
    random = torch.Generator().manual_seed(seed)
    return [
        Level(4 << i, torch.randn(2, channels, side >> i, (side >> i) * 2, generator=random))
        for i, channels in enumerate((6, 8, 10))
    ]


def test_mask_features_have_the_finest_stride_and_levels_come_coarsest_first(decoder):
    mask_features, refined = decoder(levels())
    assert mask_features.shape == (2, 32, 16, 32)
    assert [(level.stride, tuple(level.features.shape)) for level in refined] == [
        (16, (2, 32, 4, 8)),
        (8, (2, 32, 8, 16)),
    ]


def test_levels_exchange_what_they_see_in_both_directions(decoder):
    inputs = levels()
    for index in (1, 2):
        changed = list(inputs)
        changed[index] = Level(inputs[index].stride, inputs[index].features.flip(3))
        for before, after in zip(decoder(inputs)[1], decoder(changed)[1], strict=True):
            assert not torch.allclose(before.features, after.features)


def test_every_parameter_gets_a_gradient_once_places_depend_on_the_query(decoder):
    with torch.no_grad():
        for layer in decoder.layers:
            layer.attention.offsets.weight.normal_(std=0.1)
            layer.attention.weights.weight.normal_(std=0.1)
    mask_features, refined = decoder(levels())
    (mask_features.square().sum() + sum(level.features.pow(3).sum() for level in refined)).backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_images_of_a_batch_do_not_touch_each_other(decoder):
    together, _ = decoder(levels())
    alone, _ = decoder([Level(level.stride, level.features[1:]) for level in levels()])
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-5)


def test_cell_centres_are_x_y_row_by_row():
    expected = [[0.25, 0.5 / 3], [0.75, 0.5 / 3], [0.25, 0.5], [0.75, 0.5], [0.25, 2.5 / 3], [0.75, 2.5 / 3]]
    torch.testing.assert_close(cell_centres(3, 2, torch.device("cpu")), torch.tensor(expected))


def test_a_width_without_groups_is_refused():
    with pytest.raises(ValueError, match="a width of 40 does not split into 32 groups"):
        DeformableDecoder((6, 8), 40, layers=1, heads=4, points=2, feedforward_width=16)
