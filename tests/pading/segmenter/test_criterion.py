import dataclasses

import pytest
import torch
from torch.autograd import gradcheck

from pading.segmenter.criterion import CriterionConfig, criterion, dice_loss, matched_pairs
from pading.segmenter.matcher import LossWeights
from pading.segmenter.segmenter import Prediction
from pading.segmenter.targets import Targets, targets_from_batch
from tests.references.segmenter_loops import MASK2FORMER, MASKFORMER
from tests.references.segmenter_loops import cell_loss as cell_loss_by_loops
from tests.references.segmenter_loops import loss as loss_by_loops


def named(weights):
    return LossWeights(**dict(zip(("classification", "cross_entropy", "dice", "focal"), weights, strict=True)))


ON_SEEN = (0, 1, 2, 3)  # classes that occur in the targets of the unseen test; 4 and 5 do not


def images(predictions, chosen):
    parts = [[getattr(p, field.name) for field in dataclasses.fields(p)] for p in predictions]
    return [Prediction(*(None if part is None else part[chosen] for part in layer)) for layer in parts]


def targets_of(targets, chosen):
    return Targets(*(getattr(targets, field.name)[chosen] for field in dataclasses.fields(targets)))


@pytest.mark.parametrize("weights", [MASK2FORMER, MASKFORMER, (1.0, 2.0, 3.0, 4.0)])
def test_loss_equals_the_loop_over_layers_images_and_pixels(predictions, targets, label_maps, weights):
    layers = [(p.class_logits.tolist(), p.mask_logits.tolist()) for p in predictions]
    expected = loss_by_loops(layers, label_maps.tolist(), targets.classes.tolist(), 7.5, weights=weights)
    cells = predictions[-1].cell_logits.tolist()
    expected["cells"] = 4.0 * cell_loss_by_loops(cells, label_maps.tolist(), targets.classes.tolist()) / 7.5
    losses = criterion(predictions, targets, 7.5, CriterionConfig(weights=named(weights)))
    assert losses.keys() == expected.keys()
    for name, value in losses.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-5), name


def test_class_loss_is_the_weighted_mean_of_cross_entropy(predictions, targets):
    mean = criterion(predictions[:1], targets, targets.num_masks)["class"]
    positive = int(targets.num_masks)
    uniform = [dataclasses.replace(predictions[0], class_logits=torch.zeros(4, 5, 7))]
    assert criterion(uniform, targets, positive)["class"].item() == pytest.approx(
        2 * torch.tensor(7.0).log().item(), rel=1e-6
    )
    assert mean.item() > 0


def test_workers_with_the_global_count_average_to_the_whole_batch(predictions, targets):
    whole = criterion(predictions, targets, targets.num_masks)
    shards = [slice(0, 2), slice(2, 4)]
    parts = [criterion(images(predictions, s), targets_of(targets, s), targets.num_masks / 2) for s in shards]
    for name in whole:
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, whole[name])


def test_an_empty_image_only_teaches_no_object(predictions, targets):
    empty = targets_of(targets, slice(1, 2))
    losses = criterion(images(predictions, slice(1, 2)), empty, 0)
    assert losses["mask"].item() == losses["dice"].item() == losses["cells"].item() == 0
    sum(losses.values()).backward()
    gradient = predictions[0].class_logits.grad[1]
    assert (gradient[:, -1] < 0).all()
    assert (gradient[:, :-1] > 0).all()
    assert predictions[0].mask_logits.grad.abs().sum() == 0


def test_a_batch_without_room_for_segments_works(predictions):
    targets = targets_from_batch(
        torch.full((4, 1, 16, 16), 255, dtype=torch.uint8), torch.zeros(4, 0, dtype=torch.int64)
    )
    losses = criterion(predictions, targets, 0)
    assert losses["class"].item() > 0
    assert losses["mask"].item() == losses["dice"].item() == 0


def test_ignored_cells_get_no_gradient(predictions, targets):
    losses = criterion(predictions, targets, targets.num_masks)
    (losses["mask"] + losses["dice"]).backward()
    for prediction in predictions:
        gradient = prediction.mask_logits.grad
        assert (gradient[2, :, 3] == 0).all()  # padding
        assert gradient[2, :, :3].abs().sum() > 0


def test_classes_outside_the_targets_are_never_raised(predictions, targets):
    seen = dataclasses.replace(targets, classes=targets.classes.clamp(max=ON_SEEN[-1]))
    sum(criterion(predictions, seen, seen.num_masks).values()).backward()
    for prediction in predictions:
        assert (prediction.class_logits.grad[..., 4:6] > 0).all()
        assert (prediction.class_logits.grad[..., :4] < 0).any()
    cells = predictions[-1].cell_logits.grad
    assert (cells[:, 4:6] >= 0).all()
    assert (cells[:, 4:6] > 0).any()
    assert (cells[:, :4] < 0).any()


def test_cells_outside_every_segment_are_not_classified(predictions, targets):
    criterion(predictions, targets, 1.0)["cells"].backward()
    gradient = predictions[-1].cell_logits.grad
    owned = torch.nn.functional.avg_pool2d(targets.masks.sum(dim=1), 2) > 0
    assert not owned.all()
    assert torch.equal(gradient.abs().sum(dim=1) > 0, owned)


def test_predictions_without_cells_have_no_loss_on_cells(predictions, targets):
    predictions[-1] = dataclasses.replace(predictions[-1], cell_logits=None)
    assert criterion(predictions, targets, 1.0).keys() == {"class", "mask", "dice"}


def test_unseen_rows_of_the_head_only_learn_to_say_no(segmenter, targets):
    seen = targets_from_batch(
        (targets.masks.argmax(dim=1, keepdim=True) + 1).byte().repeat_interleave(8, 2).repeat_interleave(8, 3),
        targets.classes.clamp(max=3),
    )
    optimiser = torch.optim.SGD([segmenter.class_head.bias], lr=0.1)
    before = segmenter.class_head.bias.detach().clone()
    pixels = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for _ in range(3):
        optimiser.zero_grad()
        sum(criterion(segmenter(pixels), seen, seen.num_masks).values()).backward()
        optimiser.step()
    assert (segmenter.class_head.bias[4:6] < before[4:6]).all()


def test_every_layer_is_supervised(predictions, targets):
    sum(criterion(predictions, targets, targets.num_masks).values()).backward()
    for prediction in predictions:
        assert prediction.class_logits.grad.abs().sum() > 0
        assert prediction.mask_logits.grad.abs().sum() > 0


def test_half_precision_predictions_are_scored_in_float32(predictions, targets):
    half = [Prediction(p.query_embeddings, p.class_logits.bfloat16(), p.mask_logits.bfloat16()) for p in predictions]
    rounded = [Prediction(p.query_embeddings, p.class_logits.float(), p.mask_logits.float()) for p in half]
    mine, same = criterion(half, targets, 9.0), criterion(rounded, targets, 9.0)
    for name in mine:
        assert mine[name].dtype == torch.float32
        assert mine[name].item() == same[name].item()


def test_the_gradient_of_the_dice_loss_matches_finite_differences():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, generator=random, dtype=torch.float64, requires_grad=True)
    valid = torch.rand(3, 6, generator=random, dtype=torch.float64)
    masks = valid * torch.rand(3, 6, generator=random, dtype=torch.float64)
    assert gradcheck(lambda x: dice_loss(x, masks, valid), (logits,))


def test_dice_worked_by_hand():
    logits, masks, valid = torch.zeros(1, 4), torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert dice_loss(logits, masks, valid).item() == pytest.approx(1 - (2 * 1 + 1) / (1.5 + 2 + 1))


def test_diverged_predictions_are_refused_by_name(predictions, targets):
    predictions[1] = dataclasses.replace(predictions[1], class_logits=predictions[1].class_logits * float("nan"))
    with pytest.raises(ValueError, match=r"images \[10, 11, 12, 13\] are not finite"):
        criterion(predictions, targets, 1.0)


AT_POINTS = CriterionConfig(num_points=50_000, importance=0.0, oversample=1.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def constant_predictions(predictions):
    """Predictions whose maps hold one value each, so that every point reads what every cell says, but at the border."""
    flat = [p.mask_logits.detach().mean(dim=(2, 3), keepdim=True).expand(-1, -1, 64, 64) for p in predictions]
    return [
        dataclasses.replace(p, mask_logits=maps.clone().requires_grad_(), cell_logits=None)
        for p, maps in zip(predictions, flat, strict=True)
    ]


def test_many_uniform_points_come_to_the_losses_of_whole_maps(constant_predictions, label_maps, classes):
    large = label_maps.repeat_interleave(16, 2).repeat_interleave(16, 3)
    targets = targets_from_batch(large, classes)
    whole = criterion(constant_predictions, targets, 7.5)
    points = criterion(constant_predictions, targets, 7.5, AT_POINTS, generator())
    assert points["class"].item() == pytest.approx(whole["class"].item(), rel=1e-5)
    assert points["mask"].item() == pytest.approx(whole["mask"].item(), rel=0.02)
    assert points["dice"].item() == pytest.approx(whole["dice"].item(), rel=0.02)


def test_every_layer_is_supervised_at_points_too(predictions, targets):
    losses = criterion(predictions, targets, targets.num_masks, CriterionConfig(num_points=100), generator())
    (losses["mask"] + losses["dice"]).backward()
    for prediction in predictions:
        assert prediction.mask_logits.grad.abs().sum() > 0
        assert prediction.mask_logits.grad[1].abs().sum() == 0  # the empty image


def test_logits_made_anew_equal_those_picked_from_all_maps(segmenter, targets):
    made = segmenter(torch.randint(0, 256, (4, 3, 32, 32), generator=generator(), dtype=torch.uint8))
    query = torch.tensor([[0, 3, -1, -1], [-1] * 4, [6, 2, 1, -1], [4, -1, 5, -1]]).expand(len(made), -1, -1)
    anew = matched_pairs(made, query)
    picked = matched_pairs([dataclasses.replace(p, mask_features=None) for p in made], query)
    order = sorted(range(len(anew.layer)), key=lambda i: (anew.layer[i], anew.image[i], anew.segment[i]))
    for mine, other in zip(anew, picked, strict=True):
        torch.testing.assert_close(mine[order], other, rtol=1e-5, atol=1e-5)


def test_points_come_from_the_generator_alone(predictions, targets):
    config = CriterionConfig(num_points=60)
    first, again, other = (criterion(predictions, targets, 5.0, config, generator(seed)) for seed in (1, 1, 2))
    assert first["mask"].item() == again["mask"].item() != other["mask"].item()


def test_parts_of_a_batch_with_one_seed_average_to_the_whole(predictions, targets):
    config = CriterionConfig(num_points=60)
    whole = criterion(predictions, targets, targets.num_masks, config, generator())
    for size in (1, 2):
        parts = [slice(first, first + size) for first in range(0, 4, size)]
        losses = [
            criterion(
                images(predictions, p), targets_of(targets, p), targets.num_masks / len(parts), config, generator()
            )
            for p in parts
        ]
        for name in whole:
            mean = sum(part[name] for part in losses) / len(parts)
            torch.testing.assert_close(mean, whole[name], rtol=1e-5, atol=0)


def test_batches_without_segments_have_only_a_class_loss_at_points(predictions):
    for room in (0, 2):
        empty = targets_from_batch(
            torch.zeros(4, 1, 16, 16, dtype=torch.uint8), torch.full((4, room), -1, dtype=torch.int64)
        )
        bare = [dataclasses.replace(p, cell_logits=None) for p in predictions]
        losses = criterion(bare, empty, 0, CriterionConfig(num_points=20), generator())
        assert losses["mask"].item() == losses["dice"].item() == 0 < losses["class"].item()


def test_half_precision_is_scored_in_float32_inside_autocast_too(predictions, targets):
    config = CriterionConfig(num_points=60)
    plain = criterion(predictions, targets, 5.0, config, generator())
    with torch.autocast("cpu", torch.bfloat16):
        inside = criterion(predictions, targets, 5.0, config, generator())
    assert all(plain[name].item() == inside[name].item() for name in ("class", "mask", "dice"))


def test_diverged_predictions_are_refused_by_name_at_points_too(predictions, targets):
    broken = predictions[1].mask_logits.detach().clone()
    broken[2] = float("nan")
    predictions[1] = dataclasses.replace(predictions[1], mask_logits=broken)
    with pytest.raises(ValueError, match=r"images \[12\] are not finite"):
        criterion(predictions, targets, 1.0, CriterionConfig(num_points=20), generator())


def test_points_without_a_generator_are_refused(predictions, targets):
    with pytest.raises(ValueError, match="20 points need a generator"):
        criterion(predictions, targets, 1.0, CriterionConfig(num_points=20))


@pytest.mark.parametrize("change", [{"num_points": -1}, {"oversample": 0.5}, {"importance": 1.5}])
def test_contradictory_points_are_refused(change):
    with pytest.raises(ValueError, match="must be at least 0, oversample"):
        CriterionConfig(**change)
