import torch

from pading.segmenter.backbone import Level
from pading.segmenter.mask_decoder import MaskDecoder, allowed_cells


def test_a_query_looks_where_its_mask_is_likely():
    logits = torch.tensor([[[2.0, -1.0, 0.0]]])
    assert allowed_cells(logits).tolist() == [[[True, False, True]]]


def test_a_query_whose_mask_is_empty_looks_everywhere():
    logits = torch.tensor([[[-2.0, -1.0], [-2.0, 1.0]]])
    assert allowed_cells(logits).tolist() == [[[True, True], [False, True]]]


def decoder(layers=1):
    torch.manual_seed(0)
    return MaskDecoder(width=8, queries=3, layers=layers, heads=2, feedforward_width=16, levels=2, as_published=False)


def inputs(seed=0):
    random = torch.Generator().manual_seed(seed)
    fine, coarse = torch.randn(2, 8, 8, 8, generator=random), torch.randn(2, 8, 2, 2, generator=random)
    return fine, [Level(16, coarse), Level(8, torch.randn(2, 8, 4, 4, generator=random))]


def test_cells_outside_the_predicted_mask_are_not_read():
    model = decoder()
    mask_features, levels = inputs()
    kernels = model(mask_features, levels).mask_embeddings[0]
    pooled = torch.nn.functional.avg_pool2d(mask_features, 2).flatten(2)
    allowed = allowed_cells(kernels @ pooled)  # (B, Q, 16), the only layer reads the finest level
    blocked_for_all = (~allowed).all(dim=1)
    assert blocked_for_all.any()
    before = model(mask_features, levels).embeddings

    def after_adding(amount, cells):
        changed = levels[1].features.flatten(2).transpose(1, 2).clone()
        changed[cells] += amount * torch.arange(8)
        fine = changed.transpose(1, 2).unflatten(2, (4, 4))
        return model(mask_features, [levels[0], Level(8, fine)]).embeddings

    torch.testing.assert_close(after_adding(100.0, blocked_for_all), before)
    assert not torch.allclose(after_adding(1.0, ~blocked_for_all), before)


def test_layers_visit_the_levels_in_turn_and_end_at_the_finest():
    mask_features, levels = inputs()
    for layers, uses_coarse in ((1, False), (2, True)):
        model = decoder(layers)
        before = model(mask_features, levels).embeddings[-1]
        changed = levels[0].features + 1.0 * torch.arange(8)[:, None, None]
        after = model(mask_features, [Level(16, changed), levels[1]]).embeddings[-1]
        assert torch.allclose(before, after) != uses_coarse


def test_the_attention_mask_passes_no_gradient():
    model = decoder()
    mask_features, levels = inputs()
    mask_features.requires_grad_()
    model(mask_features, levels).embeddings.sum().backward()
    assert mask_features.grad is None
