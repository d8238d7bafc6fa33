import pytest
import torch

from pading.config import from_plain, override, to_plain
from pading.zeroshot.accuracy import query_accuracy
from pading.zeroshot.fit_inputs import FitTensors
from pading.zeroshot.generator import PrimitiveGenerator
from pading.zeroshot.methods import (
    GENERATIVE,
    METHODS,
    PROFILES,
    STRUCTURE,
    MethodConfig,
    build_generator,
    finish,
    fit_method,
)
from pading.zeroshot.profiles import PAPER_DEVIATIONS, best, paper, profile_config, released, with_steps
from pading.zeroshot.pseudo_unseen import hold_out_classes, pseudo_unseen_problem
from pading.zeroshot.released.fit import ReleasedConfig
from pading.zeroshot.released.generator import ReleasedGenerator
from tests.references.zeroshot_world import WIDTH, world_of_combinations

SMALL = {
    "primitive.num_primitives": 20,
    "primitive.heads": 2,
    "released.generator.num_primitives": 20,
    "released.generator.heads": 2,
    "released.generator.hidden": 16,
    "released.head.queries_per_image": 20,
}


def small(profile, steps=60):
    return with_steps(override(profile_config(profile), SMALL), steps)


def fit(method, config, seed=0):
    world = world_of_combinations()
    return finish(fit_method(method, config, world.train, world.text, world.classes, world.old_head, seed))


def test_the_defaults_are_those_of_best():
    assert profile_config("best") == best() == MethodConfig()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_carries_its_name_and_survives_json(profile):
    config = profile_config(profile)
    assert config.profile == profile
    assert from_plain(MethodConfig, to_plain(config)) == config


def test_the_paper_profile_is_the_printed_equations():
    config = paper()
    generator, structure = config.generator, config.generator.structure
    assert not config.standardise_text
    assert (config.primitive.attention_temperature, config.primitive.dropout) == (1.0, 0.0)
    assert (generator.mmd, generator.estimator, generator.root) == ("pooled", "biased", False)
    assert generator.bandwidths == (4.0, 25.0, 100.0, 400.0, 1600.0, 6400.0)  # squares of 2, 5, 10, 20, 40, 80
    assert tuple(sigma**2 for sigma in PAPER_DEVIATIONS) == generator.bandwidths
    assert (generator.bandwidth_scale, generator.bandwidth_factor) == ("absolute", 1.0)
    assert (structure.relate, structure.is_centred) == ("rows", False)
    assert (generator.draw, generator.images_per_step, generator.steps) == ("by_image", 12, 20_000)
    assert (generator.learning_rate, generator.schedule) == (5e-4, "step")


def test_the_released_profile_differs_between_tasks_where_the_code_does():
    panoptic, instance, semantic = (released(task).released for task in ("panoptic", "instance", "semantic"))
    assert panoptic == ReleasedConfig()
    assert [c.structure_weight for c in (panoptic, instance, semantic)] == [1e-4, 1e-3, 1e-3]
    assert [c.generator.dropout for c in (panoptic, instance, semantic)] == [0.1, 0.1, 0.3]
    assert [c.structure.dropout for c in (panoptic, instance, semantic)] == [0.1, 0.1, 0.2]
    assert [c.head.unseen_weight for c in (panoptic, instance, semantic)] == [5.0, 2.0, 5.0]
    assert [c.head.unseen_per_step for c in (panoptic, instance, semantic)] == [5, 5, 17]
    assert [c.steps for c in (panoptic, instance, semantic)] == [20_000, 4_000, 2_000]
    assert [c.schedule for c in (panoptic, instance, semantic)] == ["step", "constant", "polynomial"]
    assert [c.head.unseen_rows for c in (panoptic, instance, semantic)] == ["pretrained", "zero", "zero"]
    assert not any(c.head.zero_no_object_row for c in (panoptic, instance, semantic))
    assert (released().gmmn.dropout, released().gmmn.bias, released().gmmn.noise) == (0.4, 0.01, "gaussian")


def test_one_budget_for_every_fit_of_a_profile():
    config = with_steps(released("semantic"), 7)
    assert (config.generator.steps, config.classifier.steps, config.released.steps) == (7, 7, 7)
    assert config.released.schedule == "polynomial"


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="unknown profile 'better': choose one of paper, released, best"):
        profile_config("better")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("method", STRUCTURE)
def test_every_row_exists_under_every_profile_and_is_a_function_of_its_seed(method, profile):
    torch.manual_seed(0)
    first = fit(method, small(profile, 5))
    torch.manual_seed(1)
    second, other = fit(method, small(profile, 5)), fit(method, small(profile, 5), seed=1)
    for name, value in first.classifier.state_dict().items():
        assert torch.equal(value, second.classifier.state_dict()[name])
    for name, value in first.generator.state_dict().items():
        assert torch.equal(value, second.generator.state_dict()[name])
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    world = world_of_combinations()
    noise = torch.randn(9, 2, first.generator.noise_width)
    assert first.generator(world.text, noise).shape == (9, 2, WIDTH)


@pytest.mark.parametrize("method", [method for method in METHODS if method not in GENERATIVE])
def test_rows_without_a_generator_are_the_same_under_every_profile(method):
    config = override(small("best"), {"projection.steps": 5})
    rows = [fit(method, override(config, {"profile": profile})).classifier.state_dict() for profile in PROFILES]
    assert all(torch.equal(row[name], rows[0][name]) for row in rows for name in rows[0])


def test_the_profile_chooses_the_generator():
    text = world_of_combinations().text
    assert isinstance(build_generator("pading", small("released"), text, WIDTH, 0).generator, ReleasedGenerator)
    assert isinstance(build_generator("pading", small("paper"), text, WIDTH, 0).generator, PrimitiveGenerator)


@pytest.mark.parametrize("profile", ["paper", "released"])
def test_published_profiles_read_text_as_it_is(profile):
    world = world_of_combinations()
    generator = build_generator("pading", small(profile), world.text, WIDTH, 0)
    noise = torch.randn(9, 1, generator.noise_width)
    assert torch.equal(generator.read(world.text), world.text)
    assert torch.equal(generator(world.text, noise), generator.generator(world.text, noise))
    assert not torch.allclose(
        build_generator("pading", small("best"), world.text, WIDTH, 0).read(world.text), world.text
    )


@pytest.mark.parametrize("profile", PROFILES)
def test_a_fit_keeps_the_seen_classes(profile):
    world = world_of_combinations()
    assert query_accuracy(fit("pading", small(profile)).classifier, world.test, world.classes)["accuracy/seen"] > 0.5


def test_released_head_rows_that_were_trained_do_not_reach_a_score_on_pseudo_unseen_classes():
    world = world_of_combinations()
    pseudo = hold_out_classes(world.classes, 0.3, seed=0)
    held_out = [world.classes.index(pseudo.coco_ids[index]) for index in pseudo.unseen]
    spoiled = type(world.old_head)(world.old_head.weight, world.old_head.bias)
    with torch.no_grad():
        spoiled.weight[held_out] = 99.0
    scores = []
    for head in (world.old_head, spoiled):
        problem = pseudo_unseen_problem(FitTensors(world.train, world.text, head), world.classes, pseudo, 0.3, seed=0)
        fitted = finish(fit_method("pading", small("released", 5), *problem.inputs[:2], pseudo, problem.inputs.head, 0))
        scores.append(query_accuracy(fitted.classifier, problem.rows, pseudo))
    assert scores[0] == scores[1]
