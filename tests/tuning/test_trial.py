import dataclasses

import numpy as np
import pytest
import torch

from pading.zeroshot.features import Features
from pading.zeroshot.fit_inputs import FitInputs
from tests.references.zeroshot_world import world_of_combinations
from tests.tuning.sweep_world import tiny_inputs
from tuning.trial import judge, metric_of, problem_of, run_trial


def test_a_trial_reports_the_scores_of_each_hold_out_in_turn() -> None:
    inputs = tiny_inputs(hold_outs=3)
    scores = list(run_trial(inputs, {}, 3))
    assert scores[:2] == list(run_trial(inputs, {}, 2))
    assert scores[2] == judge(inputs, {}, 2).scores()
    assert all(0 <= score[metric_of(name)] <= 1 for score in scores for name in ("hm", "ausuc", "seen", "unseen"))


def test_a_trial_depends_on_its_settings_and_its_seed_alone() -> None:
    settings = {"generator.bandwidth_factor": 2.0, "classifier.unseen_weight": 60.0}
    assert list(run_trial(tiny_inputs(), settings, 2)) == list(run_trial(tiny_inputs(), settings, 2))
    assert list(run_trial(tiny_inputs(), settings, 2)) != list(run_trial(tiny_inputs(seed=1), settings, 2))
    assert list(run_trial(tiny_inputs(), settings, 2)) != list(run_trial(tiny_inputs(), {}, 2))


def test_a_wrong_setting_is_refused_before_any_work() -> None:
    with pytest.raises(ValueError, match="has no field 'tua'"):
        next(run_trial(tiny_inputs(), {"generator.tua": 0.3}, 1))


def test_a_trial_that_takes_too_long_is_stopped_between_two_reports() -> None:
    inputs = tiny_inputs(timeout_s=0.05, generator__steps=100_000)
    with pytest.raises(TimeoutError, match=r"longer than 0.05 s; give it more by --sweep.timeout-s"):
        next(run_trial(inputs, {}, 1))


def test_no_truly_unseen_class_is_in_what_a_trial_fits_or_is_judged_on() -> None:
    inputs = tiny_inputs()
    classes = inputs.cached.classes
    problem = problem_of(inputs, 0)
    unseen_names = {classes.names[index] for index in classes.unseen}
    assert not unseen_names & set(problem.classes.names)
    assert len(problem.inputs.text) == len(problem.inputs.head.bias) - 1 == len(classes.seen)


def test_rows_of_unseen_classes_among_the_features_stop_a_trial() -> None:
    inputs, world = tiny_inputs(), world_of_combinations()
    cached = FitInputs.of(world.test, world.text.numpy(), world.old_head, world.classes)
    with pytest.raises(ValueError, match="may not be fitted on"):
        next(run_trial(dataclasses.replace(inputs, cached=cached), {}, 1))


def test_a_leaky_trial_is_judged_on_the_true_classes_and_still_fits_without_their_features() -> None:
    inputs, world = tiny_inputs(), world_of_combinations()
    val = FitInputs.of(world.test, world.text.numpy(), world.old_head, world.classes)
    leaky = dataclasses.replace(inputs, leaked=val)
    assert leaky.is_leaky
    assert not inputs.is_leaky
    problem = problem_of(leaky, 0)
    assert problem.classes == world.classes
    assert torch.equal(problem.rows.labels, world.test.labels)
    assert not set(problem.inputs.features.labels.tolist()) & set(world.classes.unseen)


def test_trials_read_the_stores_arrays_themselves_and_leave_them_as_they_were() -> None:
    """As an object store hands them out: not to be written to, and not copied."""
    inputs = tiny_inputs()
    arrays = [getattr(inputs.cached, name) for name in ("embeddings", "labels", "image_ids", "text")]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    features, text, _ = inputs.cached.views()
    assert features.embeddings.data_ptr() == inputs.cached.embeddings.__array_interface__["data"][0]
    assert text.data_ptr() == inputs.cached.text.__array_interface__["data"][0]
    assert isinstance(features, Features)
    list(run_trial(inputs, {}, 1))
    assert all(np.array_equal(array, copy) for array, copy in zip(arrays, before, strict=True))
