import dataclasses

import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.classifier import LinearClassifier
from pading.zeroshot.features import Features
from pading.zeroshot.fit_classifier import ClassifierFitConfig
from pading.zeroshot.fit_generator import GeneratorFitConfig
from pading.zeroshot.generator import PrimitiveConfig
from pading.zeroshot.methods import MethodConfig, finish, fit_method, retrain_by_generator
from pading.zeroshot.vocabulary import add_class, carry_features, carry_head, remove_class, renumbered
from tests.references.zeroshot_world import WIDTH, world_of_combinations

WORLD = world_of_combinations()
CLASSES = WORLD.classes


def taught(name: str = "checked disc", coco_id: int = 40):
    return add_class(CLASSES, name, coco_id=coco_id, is_thing=True)


def test_a_new_class_is_unseen_and_last_and_the_others_keep_their_numbers():
    table = taught()
    assert table.names == (*CLASSES.names, "checked disc")
    assert (table.coco_ids[-1], table.is_thing[-1], table.is_seen[-1]) == (40, True, False)
    for column in ("names", "coco_ids", "is_thing", "is_seen"):
        assert getattr(table, column)[:-1] == getattr(CLASSES, column)
    assert renumbered(CLASSES, table).tolist() == [*range(9), 10]


def test_forgetting_what_was_taught_gives_the_old_table_back():
    assert remove_class(taught(), "checked disc") == CLASSES


@pytest.mark.parametrize("index", [0, 4, 8])
def test_the_classes_after_a_forgotten_one_move_up(index):
    table = remove_class(CLASSES, CLASSES.names[index])
    expected = [*range(index), -1, *range(index, 8), 8]
    assert renumbered(CLASSES, table).tolist() == expected
    assert table.coco_ids == CLASSES.coco_ids[:index] + CLASSES.coco_ids[index + 1 :]


@pytest.mark.parametrize(
    ("name", "coco_id", "said"),
    [
        ("plain disc", 40, "knows 'plain disc' already"),
        ("Plain-Disc", 40, "knows 'plain disc' already"),
        ("orb, plain disc", 40, "knows 'plain disc' already"),
        (" , ", 40, "is no name"),
        ("checked disc", 13, "id 13 is that of 'dotted disc'; the next free one is 20"),
        ("checked disc", 0, "id 0 is that of no class"),
    ],
)
def test_a_class_that_cannot_be_added_is_refused(name, coco_id, said):
    with pytest.raises(ValueError, match=said):
        taught(name, coco_id)


def test_an_unknown_class_and_the_last_seen_one_cannot_be_forgotten():
    with pytest.raises(ValueError, match="knows no 'cow'; it knows plain disc, striped disc"):
        remove_class(CLASSES, "cow")
    lonely = dataclasses.replace(CLASSES, is_seen=(True,) + (False,) * 8)
    with pytest.raises(ValueError, match="'plain disc' is the last seen class"):
        remove_class(lonely, "plain disc")


def test_features_follow_their_classes_and_those_of_a_forgotten_one_are_left_out():
    features = Features(torch.arange(40.0).view(4, 10), torch.tensor([0, 2, 8, 9]), torch.arange(4))
    table = remove_class(taught(), "dotted disc")
    assert not CLASSES.is_seen[8]
    seen_last = dataclasses.replace(CLASSES, is_seen=(True,) * 9)
    seen_table = dataclasses.replace(table, is_seen=(True,) * 8 + (False,))
    carried = carry_features(features, seen_last, seen_table)
    assert carried.labels.tolist() == [0, 7, 9]
    assert carried.image_ids.tolist() == [0, 2, 3]
    assert torch.equal(carried.embeddings, features.embeddings[[0, 2, 3]])


def test_real_features_of_a_class_that_came_back_by_name_are_not_used():
    forgotten = remove_class(CLASSES, "plain disc")
    again = add_class(forgotten, "plain disc", coco_id=11, is_thing=True)
    carried = carry_features(WORLD.train, CLASSES, again)
    assert again.names.index("plain disc") not in carried.labels
    assert len(carried) == int((WORLD.train.labels != 0).sum())


def test_labels_beyond_the_table_of_the_cache_are_refused():
    features = Features(torch.zeros(1, 3), torch.tensor([10]), torch.tensor([0]))
    with pytest.raises(ValueError, match="labels up to 10, class table 'combinations' has 9"):
        carry_features(features, CLASSES, taught())


def test_a_carried_head_gives_known_classes_their_logits_and_never_a_new_one():
    randomness = generator_for(0, "head")
    head = LinearClassifier(torch.randn(10, 5, generator=randomness), torch.randn(10, generator=randomness))
    table = remove_class(taught(), "striped disc")
    rows = torch.randn(6, 5, generator=randomness)
    carried, old = carry_head(head, CLASSES, table)(rows), head(rows)
    torch.testing.assert_close(carried[:, [*range(8), 9]], old[:, [0, *range(2, 10)]])
    assert (carried[:, 8] == -torch.inf).all()
    with pytest.raises(ValueError, match=r"head has 10 outputs, class table 'combinations' needs 11"):
        carry_head(head, taught(), CLASSES)


def test_a_taught_combination_is_found_and_teaching_hardly_moves_the_others():
    """Known words in a combination that was forgotten: taught by name alone, it is as good as one fitted from start."""
    config = MethodConfig(
        primitive=PrimitiveConfig(num_primitives=20, heads=2),
        generator=GeneratorFitConfig(steps=150, learning_rate=3e-3, classes_per_step=4),
        classifier=ClassifierFitConfig(steps=100, learning_rate=1e-2),
    )
    world = WORLD
    fitted = finish(fit_method("primitive", config, world.train, world.text, world.classes, world.old_head, 0))
    without = remove_class(world.classes, "striped star")
    again = add_class(without, "striped star", coco_id=15, is_thing=True)
    order = [world.classes.names.index(name) for name in again.names]

    def refit(table, rows):
        return finish(
            retrain_by_generator(
                fitted.generator, config, carry_features(world.train, world.classes, table), world.text[rows],
                table, carry_head(world.old_head, world.classes, table), 0,
            )
        )  # fmt: skip

    same = refit(world.classes, list(range(9)))
    assert torch.equal(same.weight, fitted.classifier.weight)
    assert torch.equal(same.bias, fitted.classifier.bias)
    test = world.test
    numbers = renumbered(world.classes, again)

    def accuracy(classifier, labels):
        right = classifier(test.embeddings).argmax(dim=1) == labels
        return [float(right[test.labels == index].double().mean()) for index in range(9)]

    first, second = accuracy(fitted.classifier, test.labels), accuracy(refit(again, order), numbers[test.labels])
    star = world.classes.names.index("striped star")
    assert first[star] > 0.3
    assert second[star] == pytest.approx(first[star], abs=0.1)
    assert sum(first) / 9 == pytest.approx(sum(second) / 9, abs=0.02)


def test_a_model_may_forget_every_unseen_class():
    config = MethodConfig(
        primitive=PrimitiveConfig(num_primitives=4, heads=2),
        generator=GeneratorFitConfig(steps=2, report_every=2),
        classifier=ClassifierFitConfig(steps=2),
    )
    fitted = finish(fit_method("primitive", config, WORLD.train, WORLD.text, CLASSES, WORLD.old_head, 0))
    table = CLASSES
    for index in CLASSES.unseen:
        table = remove_class(table, CLASSES.names[index])
    head = finish(
        retrain_by_generator(
            fitted.generator, config, carry_features(WORLD.train, CLASSES, table), WORLD.text[list(CLASSES.seen)],
            table, carry_head(WORLD.old_head, CLASSES, table), 0,
        )
    )  # fmt: skip
    assert head.weight.shape == (8, WIDTH)
    assert head.bias.isfinite().all()
