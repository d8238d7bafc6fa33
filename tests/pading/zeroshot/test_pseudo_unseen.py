import dataclasses
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.classes import ClassTable
from pading.config import override
from pading.zeroshot.features import Features, split_by_image
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.pseudo_unseen import hold_out_classes, pseudo_unseen_score
from tests.references.zeroshot_world import UNSEEN, world_of_combinations

SHORT = override(
    MethodConfig(),
    {
        "primitive.num_primitives": 20,
        "primitive.heads": 2,
        "generator.steps": 60,
        "generator.report_every": 30,
        "generator.learning_rate": 3e-3,
        "generator.classes_per_step": 4,
        "classifier.steps": 60,
        "classifier.learning_rate": 1e-2,
        "projection.steps": 60,
    },
)


def score(world, method="primitive", seed=0, pseudo=None):
    fitted_on, scored_on = split_by_image(world.train, 0.3, seed=0)
    pseudo = pseudo or hold_out_classes(world.classes, 0.3, seed=0)
    return list(
        pseudo_unseen_score(
            method, SHORT, fitted_on, scored_on, world.text, world.classes, pseudo, world.old_head, seed
        )
    )


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_held_out_classes_are_seen_ones_of_both_kinds_whose_words_stay_known(seed):
    classes = world_of_combinations().classes
    pseudo = hold_out_classes(classes, 0.3, seed)
    assert pseudo.names == tuple(name for name in classes.names if name not in UNSEEN)
    assert {pseudo.is_thing[index] for index in pseudo.unseen} == {True, False}
    known = Counter(word for index in pseudo.seen for word in pseudo.names[index].split())
    assert all(known[word] for index in pseudo.unseen for word in pseudo.names[index].split())


def test_the_choice_depends_on_the_seed_and_not_on_unseen_classes():
    classes = world_of_combinations().classes
    renamed = dataclasses.replace(classes, names=tuple("plain x" if name in UNSEEN else name for name in classes.names))
    assert hold_out_classes(classes, 0.3, 5) == hold_out_classes(renamed, 0.3, 5)
    assert len({hold_out_classes(classes, 0.3, seed).unseen for seed in range(20)}) > 3


def test_names_without_shared_words_can_be_held_out():
    names = ("person", "dog", "sky", "sea")
    classes = ClassTable(
        name="four", names=names, coco_ids=(1, 2, 3, 4), is_thing=(True, True, False, False), is_seen=(True,) * 4
    )
    assert len(hold_out_classes(classes, 0.5, 0).unseen) == 2


def test_what_cannot_be_held_out_is_refused():
    classes = world_of_combinations().classes
    for fraction in (0.0, 1.0):
        with pytest.raises(ValueError, match="choose one inside"):
            hold_out_classes(classes, fraction, 0)
    lonely = dataclasses.replace(classes, is_seen=(True,) + (False,) * 8)
    with pytest.raises(ValueError, match="no class of 'combinations' can be held out: it has 1 seen classes"):
        hold_out_classes(lonely, 0.5, 0)


def test_a_trial_scores_at_every_report_and_methods_without_a_generator_once():
    world = world_of_combinations()
    scores = score(world)
    assert [metrics["step"] for metrics in scores] == [30, 60]
    assert all({"accuracy/seen", "accuracy/unseen", "accuracy/hm"} <= set(metrics) for metrics in scores)
    assert scores == score(world)
    assert len(score(world, "projection")) == 1
    assert score(world, "supervised")[0]["accuracy/unseen"] == 0


def test_held_out_classes_and_unseen_texts_do_not_influence_the_fit():
    world = world_of_combinations()
    pseudo = hold_out_classes(world.classes, 0.3, seed=0)
    fitted_on, scored_on = split_by_image(world.train, 0.3, seed=0)
    held_out = torch.tensor([world.classes.index(pseudo.coco_ids[index]) for index in pseudo.unseen])
    spoiled = fitted_on.embeddings.clone()
    spoiled[torch.isin(fitted_on.labels, held_out)] = 99.0
    text, weight = world.text.clone(), world.old_head.weight.detach().clone()
    text[list(world.classes.unseen)] = 99.0
    weight[list(world.classes.unseen)] = 99.0
    weight[held_out] = 99.0
    head = type(world.old_head)(weight, world.old_head.bias)
    arguments = (scored_on, world.text, world.classes, pseudo, world.old_head, 0)
    clean = list(pseudo_unseen_score("pading", SHORT, fitted_on, *arguments))
    dirty = list(
        pseudo_unseen_score(
            "pading", SHORT, Features(spoiled, fitted_on.labels, fitted_on.image_ids),
            scored_on, text, world.classes, pseudo, head, 0,
        )
    )  # fmt: skip
    assert clean == dirty


def test_true_unseen_features_are_refused_on_both_sides():
    world = world_of_combinations()
    pseudo = hold_out_classes(world.classes, 0.3, seed=0)
    rest = (world.text, world.classes, pseudo, world.old_head, 0)
    for sides in ((world.test, world.train), (world.train, world.test)):
        with pytest.raises(ValueError, match="may not be fitted on"):
            next(pseudo_unseen_score("primitive", SHORT, *sides, *rest))
