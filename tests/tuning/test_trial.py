import pytest

from pading.config import override
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import MethodConfig
from tests.references.zeroshot_world import world_of_combinations
from tuning.space import current_point, pading_space
from tuning.trial import OBJECTIVE, TrialInputs, run_trial


def inputs(holdouts: int = 2, seed: int = 0) -> TrialInputs:
    world = world_of_combinations()
    steps = {
        "generator.steps": 200,
        "generator.learning_rate": 1e-2,
        "generator.structure_weight": 0.0,
        "classifier.steps": 150,
        "classifier.learning_rate": 2e-2,
        "classifier.unseen_weight": 20.0,
        "primitive.num_primitives": 8,
        "primitive.heads": 2,
    }
    return TrialInputs(
        cached=FitInputs.of(world.train, world.text.numpy(), world.old_head, world.classes),
        config=override(MethodConfig(), steps),
        holdout_fraction=0.3,
        holdouts=holdouts,
        seed=seed,
    )


def test_a_trial_reports_the_mean_so_far_after_each_hold_out() -> None:
    scores = [metrics[OBJECTIVE] for metrics in run_trial(inputs(holdouts=3), {})]
    assert len(scores) == 3
    first, second = (metrics[OBJECTIVE] for metrics in run_trial(inputs(holdouts=2), {}))
    assert [first, second] == scores[:2]
    assert all(0 <= score <= 1 for score in scores)


def test_a_trial_depends_on_its_settings_and_its_seed_alone() -> None:
    settings = {"generator.bandwidth_factor": 2.0, "classifier.unseen_weight": 60.0}
    assert list(run_trial(inputs(), settings)) == list(run_trial(inputs(), settings))
    assert list(run_trial(inputs(), settings)) != list(run_trial(inputs(seed=1), settings))
    assert list(run_trial(inputs(), settings)) != list(run_trial(inputs(), {}))


def test_a_wrong_setting_is_refused_before_any_work() -> None:
    with pytest.raises(ValueError, match="has no field 'tua'"):
        next(run_trial(inputs(), {"generator.tua": 0.3}))


def test_every_dimension_of_the_space_is_a_setting_and_can_start_where_it_is() -> None:
    config = MethodConfig()
    point = current_point(config, pading_space())
    assert override(config, point) == config
    for name, domain in pading_space().items():
        assert override(config, {name: domain.sample()}) is not None
        assert point[name] in domain.categories if hasattr(domain, "categories") else domain.is_valid(point[name]), name
