import dataclasses

import pytest
import torch
import torch.nn.functional as F

from pading.zeroshot.accuracy import query_accuracy
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.fit_classifier import (
    ClassifierFitConfig,
    ProjectionConfig,
    expand_head,
    fit_projection,
    retrain_head,
    silence_unseen,
)
from pading.zeroshot.methods import finish
from tests.references.zeroshot_world import world_of_combinations

SHORT = ClassifierFitConfig(steps=200, report_every=80, real_rows=64, synthetic_rows=32, learning_rate=1e-2)


def unseen_rows(world, image_id=-1):
    """True features of unseen classes in the place of synthetic ones: the best that a generator could do."""
    rows = world.test.where(torch.isin(world.test.labels, torch.tensor(world.classes.unseen)))
    return Features(rows.embeddings, rows.labels, torch.full_like(rows.image_ids, image_id))


def nothing(world):
    return world.train.where(torch.zeros(len(world.train), dtype=torch.bool))


def test_first_reported_loss_is_the_weighted_cross_entropy_worked_by_hand():
    world = world_of_combinations()
    # One real row, one no-object row, one synthetic row, each drawn with certainty or known frequency.
    seen = world.train.where(world.train.labels == 0)
    one_seen = Features(seen.embeddings[:1], seen.labels[:1], seen.image_ids[:1])
    unseen = unseen_rows(world)
    one_unseen = Features(unseen.embeddings[:1], unseen.labels[:1], unseen.image_ids[:1])
    config = dataclasses.replace(SHORT, steps=1, real_rows=3, synthetic_rows=2, unseen_weight=5.0)
    metrics = next(retrain_head(config, one_seen, one_unseen, world.classes, world.old_head, 0))
    head = expand_head(world.old_head, world.classes)
    losses = [
        -torch.log_softmax(head(row.embeddings), dim=1)[0, row.labels[0]].item() for row in (one_seen, one_unseen)
    ]
    expected = (3 * 1 * losses[0] + 2 * 5 * losses[1]) / (3 * 1 + 2 * 5)
    assert metrics == {"step": 1.0, "loss": pytest.approx(expected, rel=1e-5)}


def test_no_object_rows_weigh_a_tenth():
    world = world_of_combinations()
    background = world.train.where(world.train.labels == world.classes.no_object)
    one = torch.tensor([0])
    seen = world.train.where(world.train.labels == 0)
    pair = Features(
        torch.cat([seen.embeddings[one], background.embeddings[one]]),
        torch.cat([seen.labels[one], background.labels[one]]),
        torch.zeros(2, dtype=torch.int64),
    )
    config = dataclasses.replace(SHORT, steps=1, real_rows=4000)
    metrics = next(retrain_head(config, pair, nothing(world), world.classes, world.old_head, 0))
    logits = expand_head(world.old_head, world.classes)(pair.embeddings)
    losses = F.cross_entropy(logits, pair.labels, reduction="none").tolist()
    assert metrics["loss"] == pytest.approx((losses[0] + 0.1 * losses[1]) / 1.1, rel=0.1)
    assert abs(metrics["loss"] - sum(losses) / 2) > 0.2 * metrics["loss"]


def test_unseen_classes_are_learned_from_their_stand_ins_and_seen_ones_are_kept():
    world = world_of_combinations()
    before = query_accuracy(expand_head(world.old_head, world.classes), world.test, world.classes)
    head = finish(retrain_head(SHORT, world.train, unseen_rows(world), world.classes, world.old_head, 0))
    after = query_accuracy(head, world.test, world.classes)
    assert before["accuracy/unseen"] < 0.2
    assert after["accuracy/unseen"] > 0.9
    assert after["accuracy/seen"] > 0.9


def test_the_old_head_is_left_alone():
    world = world_of_combinations()
    weight = world.old_head.weight.detach().clone()
    finish(retrain_head(SHORT, world.train, unseen_rows(world), world.classes, world.old_head, 0))
    assert torch.equal(world.old_head.weight, weight)


def test_synthetic_features_get_no_gradient():
    world = world_of_combinations()
    rows = unseen_rows(world)
    attached = Features(rows.embeddings.requires_grad_(), rows.labels, rows.image_ids)
    finish(retrain_head(SHORT, world.train, attached, world.classes, world.old_head, 0))
    assert attached.embeddings.grad is None


def test_a_fit_is_a_function_of_its_seed():
    world = world_of_combinations()
    first, second, other = (
        list(retrain_head(SHORT, world.train, unseen_rows(world), world.classes, world.old_head, seed))
        for seed in (0, 0, 1)
    )
    assert first == second != other
    assert [metrics["step"] for metrics in first] == [80, 160, 200]


def test_expanded_head_puts_unseen_rows_at_the_mean_and_keeps_the_others():
    world = world_of_combinations()
    head = expand_head(world.old_head, world.classes)
    seen, unseen = list(world.classes.seen), list(world.classes.unseen)
    for row in unseen:
        torch.testing.assert_close(head.weight[row], world.old_head.weight[seen].mean(dim=0))
        torch.testing.assert_close(head.bias[row], world.old_head.bias[seen].mean())
    for row in [*seen, world.classes.no_object]:
        assert torch.equal(head.weight[row], world.old_head.weight[row])
        assert torch.equal(head.bias[row], world.old_head.bias[row])


def test_a_silenced_head_never_emits_an_unseen_class():
    world = world_of_combinations()
    probabilities = silence_unseen(world.old_head, world.classes)(world.test.embeddings).softmax(dim=1)
    assert (probabilities[:, list(world.classes.unseen)] == 0).all()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(world.test)))


def test_projection_learns_seen_classes_and_lets_all_names_compete():
    world = world_of_combinations()
    config = ProjectionConfig(steps=300, report_every=300, rows=64, learning_rate=1e-2, temperature=0.1)
    head = finish(fit_projection(config, world.train, world.text, world.classes, 0))
    torch.testing.assert_close(head.text, world.text)
    assert query_accuracy(head, world.test, world.classes)["accuracy/seen"] > 0.8
    assert torch.isin(head(world.test.embeddings).argmax(dim=1), torch.tensor(world.classes.unseen)).any()


def test_projection_does_not_depend_on_unseen_texts():
    world = world_of_combinations()
    config = ProjectionConfig(steps=20, report_every=10)
    changed = world.text.clone()
    changed[list(world.classes.unseen)] *= -1
    first, second = (
        list(fit_projection(config, world.train, text, world.classes, 0)) for text in (world.text, changed)
    )
    assert first == second


def test_unseen_features_never_reach_a_fit():
    world = world_of_combinations()
    with pytest.raises(ValueError, match="80 of 360 features may not be fitted on"):
        next(retrain_head(SHORT, world.test, unseen_rows(world), world.classes, world.old_head, 0))
    with pytest.raises(ValueError, match="80 of 360 features may not be fitted on"):
        next(fit_projection(ProjectionConfig(), world.test, world.text, world.classes, 0))
    with pytest.raises(ValueError, match="may not be fitted on, the first has label 0"):
        next(retrain_head(SHORT, world.train, world.train, world.classes, world.old_head, 0))


def test_what_does_not_fit_is_refused():
    world = world_of_combinations()
    with pytest.raises(ValueError, match="old head has 3 outputs, class table 'combinations' needs 10"):
        expand_head(LinearClassifier(torch.zeros(3, 2), torch.zeros(3)), world.classes)
    with pytest.raises(ValueError, match="no real feature to fit"):
        next(retrain_head(SHORT, nothing(world), unseen_rows(world), world.classes, world.old_head, 0))
    with pytest.raises(ValueError, match="all >= 1"):
        ClassifierFitConfig(steps=0)
    with pytest.raises(ValueError, match="none may be negative"):
        ClassifierFitConfig(unseen_weight=-1)
