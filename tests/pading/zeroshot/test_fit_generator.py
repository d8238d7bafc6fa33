import dataclasses

import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.features import Features
from pading.zeroshot.fit_generator import GeneratorFitConfig, fit_generator, synthesise
from pading.zeroshot.generator import PrimitiveConfig, PrimitiveGenerator
from pading.zeroshot.gmmn import Gmmn, GmmnConfig
from tests.references.zeroshot_world import TEXT_WIDTH, WIDTH, world_of_combinations

SHORT = GeneratorFitConfig(steps=25, report_every=10, classes_per_step=4, rows_per_class=4)


def primitives(seed=0):
    config = PrimitiveConfig(dropout=0.0, num_primitives=20, heads=2, attention_temperature=1.0)
    return PrimitiveGenerator(config, TEXT_WIDTH, WIDTH, generator_for(seed, "weights"))


def fit(config=SHORT, structure="none", generator=None, seed=0, world=None):
    world = world or world_of_combinations()
    generator = generator or primitives()
    metrics = list(fit_generator(generator, structure, config, world.train, world.text, world.classes, seed))
    return generator, metrics


@pytest.mark.parametrize("structure", ["none", "features", "related"])
def test_a_fit_is_a_function_of_its_seed_and_leaves_global_randomness_out(structure):
    first = fit(structure=structure)
    torch.manual_seed(1)
    second, other = fit(structure=structure), fit(structure=structure, seed=1)
    assert first[1] == second[1] != other[1]
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters(), strict=True))


def test_metrics_come_every_so_often_and_after_the_last_step():
    assert [metrics["step"] for metrics in fit()[1]] == [10, 20, 25]


def test_reported_loss_is_the_sum_of_its_terms():
    for metrics in fit(structure="related")[1]:
        terms = {name: value for name, value in metrics.items() if name.startswith("loss/")}
        assert set(terms) == {f"loss/{n}" for n in ("mmd", "alignment", "related", "unrelated", "reconstruction")}
        assert metrics["loss"] == pytest.approx(sum(terms.values()), rel=1e-5)


@pytest.mark.parametrize("kind", ["gmmn", "primitive"])
def test_synthetic_features_move_to_the_real_class_means(kind):
    world = world_of_combinations()
    generator = (
        primitives() if kind == "primitive" else Gmmn(GmmnConfig(dropout=0.0), TEXT_WIDTH, WIDTH, generator_for(0))
    )
    config = dataclasses.replace(SHORT, steps=300, learning_rate=3e-3)
    real = torch.stack([world.train.embeddings[world.train.labels == k].mean(dim=0) for k in world.classes.seen])

    def distance():
        synthetic = synthesise(generator, world.text, world.classes.seen, 50, seed=0)
        return (synthetic.embeddings.view(len(real), 50, WIDTH).mean(dim=1) - real).norm(dim=1).mean()

    before = distance()
    fit(config, generator=generator)
    assert distance() < before / 3


@pytest.mark.parametrize(
    "changes", [{"mmd": "pooled"}, {"estimator": "biased", "root": True}, {"bandwidth_scale": "width"}]
)
def test_every_form_of_the_discrepancy_trains(changes):
    wide = dataclasses.replace(SHORT, bandwidths=(80.0, 320.0), learning_rate=3e-3)
    config = dataclasses.replace(wide, steps=150, report_every=1, **changes)
    losses = [metrics["loss"] for metrics in fit(config)[1]]
    assert sum(losses[-20:]) / 20 < 0.8 * sum(losses[:5]) / 5


def test_the_bandwidth_factor_multiplies_every_bandwidth():
    wide = dataclasses.replace(SHORT, bandwidths=(6.0, 60.0), bandwidth_factor=1.0)
    assert fit(wide)[1] == fit(dataclasses.replace(SHORT, bandwidths=(2.0, 20.0), bandwidth_factor=3.0))[1]


def test_no_object_rows_do_not_influence_the_fit():
    world = world_of_combinations()
    is_object = world.train.labels != world.classes.no_object
    objects = world._replace(train=world.train.where(is_object))
    assert fit(world=world)[1] == fit(world=objects)[1]


def test_a_structure_weight_of_zero_is_no_structure():
    config = dataclasses.replace(SHORT, structure_weight=0.0)
    for metrics in fit(config, "related")[1]:
        assert metrics["loss"] == metrics["loss/mmd"]


def test_real_features_of_unseen_classes_are_refused():
    world = world_of_combinations()
    with pytest.raises(ValueError, match="may not be fitted on"):
        fit(world=world._replace(train=world.test))


def test_features_without_an_object_are_refused():
    world = world_of_combinations()
    nothing = world.train.where(world.train.labels == world.classes.no_object)
    with pytest.raises(ValueError, match="no feature to draw from"):
        fit(world=world._replace(train=nothing))


def test_synthetic_features_carry_labels_and_no_gradient():
    world = world_of_combinations()
    synthetic = synthesise(primitives(), world.text, (4, 8), 3, seed=0)
    assert isinstance(synthetic, Features)
    assert synthetic.labels.tolist() == [4, 4, 4, 8, 8, 8]
    assert synthetic.image_ids.tolist() == [-1] * 6
    assert not synthetic.embeddings.requires_grad
    assert len(synthetic.embeddings.unique(dim=0)) == 6


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="set estimator to 'biased'"):
        GeneratorFitConfig(root=True)
    for changes in ({"structure_weight": -1.0}, {"tau": 0.0}, {"bandwidth_factor": 0.0}):
        with pytest.raises(ValueError, match=r"may not be negative; tau .* must be positive"):
            GeneratorFitConfig(**changes)
    for changes in (
        {"steps": 0},
        {"rows_per_class": 1},
        {"report_every": 0},
        {"classes_per_step": 0},
        {"images_per_step": 0},
    ):
        with pytest.raises(ValueError, match="must be at least 1, rows_per_class"):
            GeneratorFitConfig(**changes)


def test_rows_can_be_drawn_by_image():
    config = dataclasses.replace(SHORT, draw="by_image", mmd="pooled", estimator="biased", images_per_step=3)
    for structure in ("none", "features", "related"):
        (*_, last) = fit(config, structure)[1]
        assert last["step"] == 25
        assert fit(config, structure)[1][-1] == last


def test_the_rate_falls_as_the_schedule_says():
    constant, step = (dataclasses.replace(SHORT, steps=10, schedule=s) for s in ("constant", "step"))
    assert fit(constant)[1] != fit(step)[1]
    # the first fall is at 7 of 10
    first = [metrics["loss"] for metrics in fit(dataclasses.replace(constant, report_every=7))[1]]
    second = [metrics["loss"] for metrics in fit(dataclasses.replace(step, report_every=7))[1]]
    assert first[0] == second[0]
    assert first[1] != second[1]
