"""Whether held-out classes order settings as truly unseen classes do, on a world where both are known."""

import dataclasses
import statistics
from pathlib import Path

import pytest
import scipy.stats

from jobs.sweep_check import TRUE, CheckSweep, check_sweep, checked
from pading.data.errors import MissingFileError
from pading.zeroshot.fit_inputs import FitInputs
from tests.references.zeroshot_world import world_of_combinations
from tests.tuning.sweep_world import tiny_inputs
from tuning.trial import TrialInputs, judge

PSEUDO = {
    "accuracy/hm": (0.3, 0.1, 0.2),
    "accuracy/seen": (0.6, 0.5, 0.4),
    "accuracy/unseen": (0.1, 0.2, 0.3),
    "accuracy/ausuc": (0.2, 0.3, 0.1),
}
SETTINGS = [{"generator.tau": 0.1}, {"classifier.unseen_weight": 1.0}, {"primitive.num_primitives": 4}]
TRIALS = [
    {"number": number, "settings": settings, "metrics": {name: values[number] for name, values in PSEUDO.items()}}
    for number, settings in enumerate(SETTINGS)
]


def truly_unseen_inputs() -> TrialInputs:
    world = world_of_combinations()
    rows = FitInputs.of(world.test, world.text.numpy(), world.old_head, world.classes)
    return dataclasses.replace(tiny_inputs(), leaked=rows)


def test_each_trial_is_fitted_on_all_seen_classes_and_scored_on_the_unseen_ones(ray_session: None) -> None:
    inputs, seeds = truly_unseen_inputs(), 2
    found = checked(inputs, TRIALS, seeds)
    expected = [[judge(inputs, settings, seed).scores() for seed in range(seeds)] for settings in SETTINGS]
    assert [one["number"] for one in found["trials"]] == [0, 1, 2]
    for one, scores in zip(found["trials"], expected, strict=True):
        assert one["true"] == {name: statistics.fmean(score[name] for score in scores) for name in scores[0]}
    true = [one["true"][TRUE] for one in found["trials"]]
    assert len(set(true)) == 3
    assert found["rank_correlation"].keys() == PSEUDO.keys()
    for name, values in PSEUDO.items():
        assert found["rank_correlation"][name] == pytest.approx(scipy.stats.spearmanr(values, true)[0], abs=1e-12)


def test_a_run_without_a_sweep_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"trials\.json: no such file; give the --run-dir and the --name"):
        check_sweep(CheckSweep(run_dir=tmp_path))


def test_no_fit_tells_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--seeds is 0: fit each trial once at least"):
        check_sweep(CheckSweep(run_dir=tmp_path, seeds=0))
