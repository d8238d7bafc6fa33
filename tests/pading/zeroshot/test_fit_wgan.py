from dataclasses import replace

import pytest
import torch

from pading.randomness import generator_for
from pading.zeroshot.fit_generator import GeneratorFitConfig, synthesise
from pading.zeroshot.fit_wgan import fit_wgan
from pading.zeroshot.gmmn import Gmmn, GmmnConfig
from pading.zeroshot.standardise import Standardised
from pading.zeroshot.wgan import WganConfig
from tests.references.zeroshot_world import TEXT_WIDTH, WIDTH, world_of_combinations

SCHEDULE = GeneratorFitConfig(steps=25, report_every=10, classes_per_step=4, rows_per_class=4)
CONFIG = WganConfig(hidden=64, critic_steps=2)


def fit(config=CONFIG, schedule=SCHEDULE, seed=0, world=None):
    world = world or world_of_combinations()
    randomness = generator_for(seed, "weights")
    generator = Standardised(Gmmn(GmmnConfig(hidden=64, dropout=0.0), TEXT_WIDTH, WIDTH, randomness), world.text)
    metrics = list(fit_wgan(generator, config, schedule, world.train, world.text, world.classes, seed))
    return generator, metrics


def test_a_fit_is_a_function_of_its_seed_and_leaves_global_randomness_out():
    first = fit()
    torch.manual_seed(1)
    second, other = fit(), fit(seed=1)
    assert first[1] == second[1] != other[1]
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters(), strict=True))


def test_metrics_come_every_so_often_and_make_up_the_loss():
    metrics = fit()[1]
    assert [line["step"] for line in metrics] == [10, 20, 25]
    for line in metrics:
        expected = CONFIG.penalty_weight * line["loss/penalty"] - line["wasserstein"]
        assert line["loss"] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_the_critic_ends_with_slopes_near_one_and_the_distance_has_shrunk():
    metrics = fit(schedule=replace(SCHEDULE, steps=300, report_every=1, classes_per_step=7, rows_per_class=8))[1]
    penalties = [line["loss/penalty"] for line in metrics]
    distances = [line["wasserstein"] for line in metrics]
    assert max(penalties[-20:]) < 0.1  # slopes between 0.7 and 1.3 on average
    assert max(distances) > 3 * abs(sum(distances[-20:]) / 20)


def test_synthetic_features_move_to_the_real_class_means():
    world = world_of_combinations()
    real = torch.stack([world.train.embeddings[world.train.labels == k].mean(dim=0) for k in world.classes.seen])

    def distance(generator):
        synthetic = synthesise(generator, world.text, world.classes.seen, 50, seed=0)
        return (synthetic.embeddings.view(len(real), 50, WIDTH).mean(dim=1) - real).norm(dim=1).mean()

    untrained = fit(schedule=replace(SCHEDULE, steps=1))[0]
    schedule = replace(SCHEDULE, steps=500, classes_per_step=7, rows_per_class=8)
    trained = fit(replace(CONFIG, learning_rate=3e-3), schedule)[0]
    assert distance(trained) < distance(untrained) / 3


def test_no_object_rows_do_not_influence_the_fit():
    world = world_of_combinations()
    is_object = world.train.labels != world.classes.no_object
    assert fit(world=world)[1] == fit(world=world._replace(train=world.train.where(is_object)))[1]


def test_what_may_not_be_fitted_on_is_refused():
    world = world_of_combinations()
    with pytest.raises(ValueError, match="may not be fitted on"):
        fit(world=world._replace(train=world.test))
    nothing = world.train.where(world.train.labels == world.classes.no_object)
    with pytest.raises(ValueError, match="no feature to draw from"):
        fit(world=world._replace(train=nothing))
