import torch
from torch import nn

from pading.segmenter.backbone import Level
from pading.segmenter.plain_mask_decoder import PlainMaskDecoder
from pading.segmenter.position import published_positions

WIDTH, HEADS, QUERIES = 16, 2, 3


def decoder(layers=2, dropout=0.0):
    torch.manual_seed(0)
    return PlainMaskDecoder(
        width=WIDTH, queries=QUERIES, layers=layers, heads=HEADS, feedforward_width=24, dropout=dropout
    )


def inputs(seed=0):
    random = torch.Generator().manual_seed(seed)
    fine = torch.randn(2, WIDTH, 8, 8, generator=random)
    return fine, [Level(16, torch.randn(2, WIDTH, 2, 3, generator=random)), Level(8, fine[:, :, ::2, ::2])]


def torchs_layer(ours):
    """torch's own decoder layer, which is DETR's less the positions, with the weights of ours."""
    layer = nn.TransformerDecoderLayer(WIDTH, HEADS, 24, dropout=0.0, batch_first=True)
    state = {}
    for theirs, mine in (("self_attn", ours.self_attention), ("multihead_attn", ours.cross_attention)):
        parts = mine.query, mine.key, mine.value
        state[f"{theirs}.in_proj_weight"] = torch.cat([part.weight for part in parts])
        state[f"{theirs}.in_proj_bias"] = torch.cat([part.bias for part in parts])
        state[f"{theirs}.out_proj.weight"], state[f"{theirs}.out_proj.bias"] = mine.out.weight, mine.out.bias
    norms = ours.self_norm, ours.cross_norm, ours.feedforward_norm
    linear = ours.feedforward[0], ours.feedforward[3]
    for kind, modules in (("norm", norms), ("linear", linear)):
        for number, module in enumerate(modules, start=1):
            state |= {f"{kind}{number}.weight": module.weight, f"{kind}{number}.bias": module.bias}
    layer.load_state_dict(state)
    return layer


def test_a_layer_without_positions_is_torchs_own():
    ours = decoder().layers[0]
    random = torch.Generator().manual_seed(1)
    x, memory = torch.randn(2, QUERIES, WIDTH, generator=random), torch.randn(2, 5, WIDTH, generator=random)
    mine = ours(x, torch.zeros(QUERIES, WIDTH), memory, memory)
    torch.testing.assert_close(mine, torchs_layer(ours)(x, memory), rtol=1e-5, atol=1e-5)


def test_positions_enter_what_is_compared_and_not_what_is_read():
    ours = decoder().layers[0]
    with torch.no_grad():
        ours.self_attention.value.weight.zero_()
        ours.cross_attention.value.weight.zero_()
    x, cells = torch.randn(1, QUERIES, WIDTH), torch.randn(1, 5, WIDTH)
    here, there = (ours(x, position * torch.randn(QUERIES, WIDTH), cells, cells) for position in (0.0, 3.0))
    torch.testing.assert_close(here, there)


def test_every_layer_makes_a_prediction_from_its_normalised_state():
    made = decoder(layers=3)
    mask_features, levels = inputs()
    queries = made(mask_features, levels)
    assert queries.embeddings.shape == (3, 2, QUERIES, WIDTH)
    torch.testing.assert_close(queries.mask_embeddings, made.mask_embedding(queries.embeddings))
    torch.testing.assert_close(queries.embeddings.mean(dim=-1), torch.zeros(3, 2, QUERIES), atol=1e-5, rtol=0)


def test_queries_read_the_coarsest_level_and_nothing_else():
    made = decoder()
    mask_features, (coarse, fine) = inputs()
    before = made(mask_features, [coarse, fine]).embeddings
    same = made(2 * mask_features, [coarse, Level(8, 2 * fine.features)]).embeddings
    assert torch.equal(before, same)
    assert not torch.allclose(before, made(mask_features, [Level(16, 2 * coarse.features), fine]).embeddings)


def test_where_a_cell_lies_matters():
    made = decoder()
    mask_features, (coarse, fine) = inputs()
    turned = Level(16, coarse.features.flip(3))
    assert not torch.allclose(
        made(mask_features, [coarse, fine]).embeddings, made(mask_features, [turned, fine]).embeddings
    )
    assert published_positions(2, 3, WIDTH, torch.device("cpu")).unique(dim=0).shape[0] == 6
