import dataclasses
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pading.classes import ClassTable
from pading.config import override
from pading.zeroshot.accuracy import query_accuracy
from pading.zeroshot.features import Features
from pading.zeroshot.fit_inputs import FitTensors
from pading.zeroshot.methods import MethodConfig, finish, fit_method
from pading.zeroshot.pseudo_unseen import hold_out_classes, hold_out_in_turn, pseudo_unseen_problem
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


def score(inputs, classes, pseudo, method="primitive", config=SHORT):
    problem = pseudo_unseen_problem(inputs, classes, pseudo, 0.3, seed=0)
    features, text, head = problem.inputs
    fitted = finish(fit_method(method, config, features, text, problem.classes, head, 0))
    return query_accuracy(fitted.classifier, problem.rows, problem.classes)


def of_world(world):
    return FitTensors(world.train, world.text, world.old_head)


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


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_hold_outs_in_turn_come_round_to_every_class_before_one_comes_twice(seed):
    """Names without shared words, so that nothing but the turn decides."""
    names = tuple(f"thing{index}" for index in range(10)) + tuple(f"stuff{index}" for index in range(5))
    classes = ClassTable(
        name="fifteen",
        names=names,
        coco_ids=tuple(range(1, 16)),
        is_thing=(True,) * 10 + (False,) * 5,
        is_seen=(True,) * 15,
    )
    tables = hold_out_in_turn(classes, 0.2, 6, seed)
    first_round = Counter(table.names[index] for table in tables[:5] for index in table.unseen)
    assert first_round == Counter(names)  # five folds of a fifth: each class once
    assert tables[:3] == hold_out_in_turn(classes, 0.2, 3, seed)  # the first do not depend on how many follow


def test_a_problem_splits_images_and_has_no_held_out_class_to_fit_on():
    world = world_of_combinations()
    pseudo = hold_out_classes(world.classes, 0.3, seed=0)
    problem = pseudo_unseen_problem(of_world(world), world.classes, pseudo, 0.3, seed=0)
    assert not set(problem.inputs.features.image_ids.tolist()) & set(problem.rows.image_ids.tolist())
    assert not set(problem.inputs.features.labels.tolist()) & set(pseudo.unseen)
    assert set(pseudo.unseen) <= set(problem.rows.labels.tolist())
    assert len(problem.inputs.text) == pseudo.num_classes


def test_the_same_seed_gives_the_same_score():
    world = world_of_combinations()
    pseudo = hold_out_classes(world.classes, 0.3, seed=0)
    scores = score(of_world(world), world.classes, pseudo)
    assert scores == score(of_world(world), world.classes, pseudo)
    assert score(of_world(world), world.classes, pseudo, "supervised")["accuracy/unseen"] == 0


def test_held_out_classes_and_unseen_texts_do_not_influence_the_fit():
    world = world_of_combinations()
    pseudo = hold_out_classes(world.classes, 0.3, seed=0)
    held_out = torch.tensor([world.classes.index(pseudo.coco_ids[index]) for index in pseudo.unseen])
    problem = pseudo_unseen_problem(of_world(world), world.classes, pseudo, 0.3, seed=0)
    is_fitted_on = torch.isin(world.train.image_ids, problem.rows.image_ids).logical_not()
    spoiled = world.train.embeddings.clone()
    spoiled[torch.isin(world.train.labels, held_out) & is_fitted_on] = 99.0
    text, weight = world.text.clone(), world.old_head.weight.detach().clone()
    text[list(world.classes.unseen)] = 99.0
    weight[list(world.classes.unseen)] = 99.0
    weight[held_out] = 99.0
    head = type(world.old_head)(weight, world.old_head.bias)
    dirty = FitTensors(Features(spoiled, world.train.labels, world.train.image_ids), text, head)
    clean_score = score(of_world(world), world.classes, pseudo, "pading")
    assert clean_score == score(dirty, world.classes, pseudo, "pading")


def test_true_unseen_features_are_refused_on_both_sides():
    """Whatever side of the split an image with an unseen label falls on."""
    world = world_of_combinations()
    pseudo = hold_out_classes(world.classes, 0.3, seed=0)
    problem = pseudo_unseen_problem(of_world(world), world.classes, pseudo, 0.3, seed=0)
    for image in (int(problem.inputs.features.image_ids[0]), int(problem.rows.image_ids[0])):
        labels = world.train.labels.clone()
        labels[world.train.image_ids == image] = world.classes.unseen[0]
        tainted = Features(world.train.embeddings, labels, world.train.image_ids)
        with pytest.raises(ValueError, match="may not be fitted on"):
            pseudo_unseen_problem(FitTensors(tainted, world.text, world.old_head), world.classes, pseudo, 0.3, seed=0)
