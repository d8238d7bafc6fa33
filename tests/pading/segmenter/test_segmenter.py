from dataclasses import replace

import pytest
import torch
from torch import nn

from pading.segmenter.criterion import CriterionConfig, criterion
from pading.segmenter.initialisation import initialise
from pading.segmenter.optimisation import OptimiserConfig, adamw
from pading.segmenter.segmenter import (
    Segmenter,
    SegmenterConfig,
    maskformer_r50,
    maskformer_r101,
    r50,
    swin_t,
    tiny,
)
from pading.segmenter.targets import targets_from_batch
from pading.segmenter.weights import load_segmenter, save_segmenter
from tests.pading.segmenter.conftest import CONFIG, NUM_CLASSES


def pixels(batch=2, side=64, seed=0):
    return torch.randint(
        0, 256, (batch, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def test_there_is_one_prediction_for_the_start_and_one_for_every_layer(segmenter):
    predictions = segmenter(pixels())
    assert len(predictions) == CONFIG.decoder_layers + 1
    for prediction in predictions:
        assert prediction.query_embeddings.shape == (2, 7, 32)
        assert prediction.class_logits.shape == (2, 7, NUM_CLASSES + 1)
        assert prediction.mask_logits.shape == (2, 7, 16, 16)


def test_cells_are_classified_in_training_only_and_by_the_last_prediction(segmenter):
    trained = segmenter.train()(pixels())
    assert [p.cell_logits is None for p in trained] == [True, True, True, False]
    assert trained[-1].cell_logits.shape == (2, NUM_CLASSES, 8, 8)
    assert all(p.cell_logits is None for p in segmenter.eval()(pixels()))


def test_class_logits_are_the_linear_head_of_the_query_embeddings(segmenter):
    for prediction in segmenter(pixels()):
        by_hand = prediction.query_embeddings @ segmenter.class_head.weight.T + segmenter.class_head.bias
        torch.testing.assert_close(by_hand, prediction.class_logits)


def test_mask_logits_are_products_of_mask_features_with_the_same_embeddings(segmenter):
    captured = []
    handle = segmenter.pixel_decoder.register_forward_hook(lambda module, inputs, output: captured.append(output[0]))
    prediction = segmenter(pixels())[-1]
    handle.remove()
    kernels = segmenter.mask_decoder.mask_embedding(prediction.query_embeddings)
    by_hand = (kernels @ captured[0].flatten(2)).unflatten(2, (16, 16))
    torch.testing.assert_close(by_hand, prediction.mask_logits)


def test_query_embeddings_are_layer_normalised(segmenter):
    embeddings = segmenter(pixels())[-1].query_embeddings  # norm scales start at one and shifts at zero
    torch.testing.assert_close(embeddings.mean(dim=-1), torch.zeros(2, 7), atol=1e-5, rtol=0)
    torch.testing.assert_close(embeddings.square().mean(dim=-1), torch.ones(2, 7), atol=1e-3, rtol=0)


def test_bytes_and_floats_of_the_same_image_agree(segmenter):
    for mine, other in zip(segmenter(pixels()), segmenter(pixels().float()), strict=True):
        torch.testing.assert_close(mine.mask_logits, other.mask_logits, rtol=0, atol=0)


def test_images_of_a_batch_do_not_touch_each_other_in_evaluation(segmenter):
    segmenter(pixels(batch=8))  # moves the running statistics
    segmenter.eval()
    together = segmenter(pixels(batch=3))[-1]
    alone = segmenter(pixels(batch=3)[1:2])[-1]
    torch.testing.assert_close(together.class_logits[1:2], alone.class_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together.mask_logits[1:2], alone.mask_logits, rtol=1e-4, atol=1e-4)


def test_evaluation_changes_nothing_in_the_segmenter(segmenter):
    segmenter.eval()
    before = {name: value.clone() for name, value in segmenter.state_dict().items()}
    segmenter(pixels())
    assert all(torch.equal(value, before[name]) for name, value in segmenter.state_dict().items())


def test_every_parameter_gets_a_gradient(segmenter):
    predictions = segmenter(pixels())
    losses = [p.class_logits.square().mean() + p.mask_logits.square().mean() for p in predictions]
    (sum(losses) + predictions[-1].cell_logits.square().mean()).backward()
    assert [name for name, p in segmenter.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_predictions_stay_in_float32_under_autocast(segmenter):
    with torch.autocast("cpu", torch.bfloat16):
        first, *_, last = segmenter(pixels())
    assert last.query_embeddings.dtype == last.class_logits.dtype == last.mask_logits.dtype == torch.float32
    exact = segmenter(pixels())[0]
    assert not torch.equal(first.mask_logits, exact.mask_logits)  # the convolutions did run in bfloat16
    error = (first.mask_logits - exact.mask_logits).norm() / exact.mask_logits.norm()
    assert error < 0.02  # a bfloat16 has 8 bits


def test_tiny_has_under_a_million_parameters():
    size = sum(p.numel() for p in Segmenter(tiny(), 32).parameters())
    assert 300_000 < size < 1_000_000


def test_the_generator_decides_the_start_whatever_the_global_seed():
    models = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        models.append(initialise(Segmenter(CONFIG, NUM_CLASSES), torch.Generator().manual_seed(5)))
    first, second = (dict(model.named_parameters()) for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = initialise(Segmenter(CONFIG, NUM_CLASSES), torch.Generator().manual_seed(6))
    assert not torch.equal(other.class_head.weight, first["class_head.weight"])


def test_no_layer_is_left_to_the_default_initialisation(segmenter):
    kinds = (nn.Conv2d, nn.Linear, nn.Embedding, nn.BatchNorm2d, nn.LayerNorm)
    owned = {id(p) for m in segmenter.modules() if isinstance(m, kinds) for p in m.parameters(recurse=False)}
    assert {id(p) for p in segmenter.parameters()} == owned


PUBLISHED = replace(
    r50(), backbone="resnet18", width=32, queries=5, heads=4, encoder_layers=2, decoder_layers=3, feedforward_width=48
)


MASKFORMER = {"pixel_decoder": "fpn", "mask_decoder": "maskformer", "dropout": 0.1}


@pytest.fixture(scope="module", params=["resnet18", "swin_tiny_patch4_window7_224", "convnext_atto", "maskformer"])
def published(request) -> Segmenter:
    changes = MASKFORMER if request.param == "maskformer" else {"backbone": request.param}
    config = replace(PUBLISHED, **changes)
    return initialise(Segmenter(config, NUM_CLASSES), torch.Generator().manual_seed(0))


def test_the_published_form_has_the_same_predictions_and_no_cells(published):
    predictions = published.train()(pixels())
    assert len(predictions) == (3 if published.config.mask_decoder == "maskformer" else 4)
    assert predictions[-1].class_logits.shape == (2, 5, NUM_CLASSES + 1)
    assert predictions[-1].mask_logits.shape == (2, 5, 16, 16)
    assert all(prediction.cell_logits is None for prediction in predictions)


def test_the_published_form_learns_everywhere_but_in_frozen_norms(published):
    predictions = published(pixels())
    sum(p.class_logits.square().mean() + p.mask_logits.square().mean() for p in predictions).backward()
    still = {name for name, p in published.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    if published.config.mask_decoder == "maskformer":
        # Queries start with nothing to say to each other: the first self-attention waits for its biases.
        asked = {f"self_attention.{part}.{kind}" for part in ("query", "key") for kind in ("weight", "bias")}
        silent = asked | {"self_attention.value.weight", "self_attention.out.weight", "self_norm.weight"}
        assert still == {f"mask_decoder.layers.0.{name}" for name in silent}
    else:
        # Sampling places start the same for every query, so what tells queries apart waits for the first step.
        assert still == {"pixel_decoder.level.weight"}
    published.zero_grad()


def test_the_published_form_starts_from_the_generator_alone(published):
    torch.manual_seed(123)
    again = initialise(Segmenter(published.config, NUM_CLASSES), torch.Generator().manual_seed(0))
    first, second = (dict(model.named_parameters()) for model in (published, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_published_form_is_saved_and_loaded(published, tmp_path):
    save_segmenter(tmp_path, published)
    loaded = load_segmenter(tmp_path)
    assert loaded.config == published.config
    with torch.no_grad():
        mine, other = (model(pixels())[-1].mask_logits for model in (published.eval(), loaded))
    assert torch.equal(mine, other)


def test_criterion_and_optimiser_take_the_published_form_through_a_step(published):
    published.train()
    optimiser = adamw(published, OptimiserConfig(learning_rate=1e-4, backbone_factor=0.1))
    maps = torch.randint(0, 4, (2, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    maps = maps.repeat_interleave(16, 1).repeat_interleave(16, 2)[:, None]
    targets = targets_from_batch(maps, torch.tensor([[0, 1, 2]] * 2))
    losses = []
    for _ in range(4):
        with torch.autocast("cpu", torch.bfloat16):
            predictions = published(pixels())
        draws = torch.Generator().manual_seed(0)
        loss = sum(criterion(predictions, targets, targets.num_masks, CriterionConfig(num_points=500), draws).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_sizes_of_the_papers():
    assert sum(p.numel() for p in Segmenter(r50(), 133).parameters()) == pytest.approx(44e6, rel=0.01)
    assert r50().stride == swin_t().stride == 32
    assert (r50().queries, r50().decoder_layers, r50().encoder_layers, r50().width) == (100, 9, 6, 256)


def test_sizes_of_zegformer():
    assert sum(p.numel() for p in Segmenter(maskformer_r101(), 171).parameters()) == pytest.approx(60.3e6, rel=0.003)
    config = maskformer_r50()
    assert (config.queries, config.decoder_layers, config.width, config.dropout) == (100, 6, 256, 0.1)


@pytest.mark.parametrize("pixel_decoder", ["pyramid", "deformable", "fpn"])
@pytest.mark.parametrize("mask_decoder", ["ours", "published", "maskformer"])
def test_every_pixel_decoder_serves_every_mask_decoder(pixel_decoder, mask_decoder):
    config = replace(CONFIG, pixel_decoder=pixel_decoder, mask_decoder=mask_decoder, encoder_layers=1)
    made = initialise(Segmenter(config, NUM_CLASSES), torch.Generator().manual_seed(0))
    last = made(pixels())[-1]
    assert last.mask_logits.shape == (2, 7, 16, 16)
    assert last.cell_logits is not None


def test_dropout_is_of_training_alone():
    config = replace(CONFIG, mask_decoder="maskformer", dropout=0.5)
    made = initialise(Segmenter(config, NUM_CLASSES), torch.Generator().manual_seed(0))
    first, second = (made(pixels())[-1].class_logits for _ in range(2))
    assert not torch.equal(first, second)
    made.eval()
    first, second = (made(pixels())[-1].class_logits for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 1, 64, 64), (2, 3, 60, 64), (2, 3, 64, 72)])
def test_images_of_another_shape_are_refused(segmenter, shape):
    with pytest.raises(ValueError, match="multiples of 16, got"):
        segmenter(torch.zeros(shape))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone_blocks": (1, 1)}, "same stages"),
        ({"backbone_channels": (32,), "backbone_blocks": (1,)}, "at least two"),
        ({"width": 50, "heads": 5}, "50 must be a multiple of 4"),
        ({"width": 64, "heads": 5}, "64 must be .* of the 5 heads"),
        ({"width": 48, "pixel_decoder": "deformable"}, "48 of a deformable decoder must be a multiple of 32"),
        ({"width": 48, "pixel_decoder": "fpn"}, "48 of a fpn decoder must be a multiple of 32"),
        ({"dropout": 0.1}, "dropout 0.1 must be .* 0 for the mask decoder 'ours'"),
        ({"dropout": 1.0, "mask_decoder": "maskformer"}, r"dropout 1.0 must be in \[0, 1\)"),
        ({"temperature": 0.0}, "temperature 0.0 must be above 0"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SegmenterConfig(**changes)
