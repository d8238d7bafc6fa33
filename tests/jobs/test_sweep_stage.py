"""The stage around a sweep: names, settings, choice, and what is refused before anything starts."""

import json
from pathlib import Path

import pytest

from cluster.resources import Request
from cluster.storage import RunDir
from jobs.__main__ import main
from jobs.config import PipelineConfig
from jobs.fit import has_winner, planned_rows
from jobs.presets import PRESETS
from jobs.sweep import (
    artefact_name,
    described,
    is_leaky_sweep,
    needs,
    ranked,
    require_search,
    sweep_settings,
    winning_method,
)
from jobs.sweep_config import SweepConfig
from pading.config import override
from pading.data.errors import DataError
from tests.tuning.sweep_world import record

CONFIG = PRESETS["smoke"]()


def changed(**changes) -> PipelineConfig:
    return override(CONFIG, {name.replace("__", "."): value for name, value in changes.items()})


def write_winner(root: Path, name: str, **fields) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "best.json").write_text(json.dumps({"settings": {"generator.tau": 0.25}, "leaky": False} | fields))


def test_a_named_sweep_lies_beside_the_pipelines_own_and_fit_reads_the_one_that_is_named(tmp_path: Path) -> None:
    write_winner(tmp_path, "sweep")
    write_winner(tmp_path, "sweeps/aside", settings={"generator.tau": 0.5}, leaky=True)
    run_dir, named = RunDir(tmp_path), changed(sweep__name="aside")
    assert (artefact_name(CONFIG), artefact_name(named)) == ("sweep", "sweeps/aside")
    assert winning_method(CONFIG, run_dir).generator.tau == 0.25
    assert winning_method(named, run_dir).generator.tau == 0.5
    assert not is_leaky_sweep(CONFIG, run_dir)
    assert is_leaky_sweep(named, run_dir)


def test_bandwidths_of_a_winner_are_tuples_again(tmp_path: Path) -> None:
    write_winner(tmp_path, "sweep", settings={"generator.bandwidths": [1.0, 2.0]})
    assert winning_method(CONFIG, RunDir(tmp_path)).generator.bandwidths == (1.0, 2.0)


@pytest.mark.parametrize("text", ["", "[]", '{"leaky": false}', '{"settings": [], "leaky": false}', '{"settings": {}}'])
def test_a_file_that_is_no_winner_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "best.json").write_text(text)
    with pytest.raises(DataError, match=r"best.json.*is no winner of a sweep"):
        winning_method(CONFIG, RunDir(tmp_path))


def test_where_trials_run_is_no_setting_and_a_space_counts_by_what_it_holds(tmp_path: Path) -> None:
    assert sweep_settings(CONFIG) == sweep_settings(changed(sweep__name="x", sweep__gpus_per_trial=0.5))
    assert sweep_settings(CONFIG) != sweep_settings(changed(sweep__schedule="fifo"))
    settings = []
    for number, high in enumerate((0.5, 0.5, 0.6)):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps({"generator.tau": {"log": [0.1, high]}}))
        settings.append(sweep_settings(changed(sweep__space=str(file))))
    assert settings[0] == settings[1] != settings[2]


def test_a_trial_asks_for_a_share_of_a_gpu_only_where_there_is_one() -> None:
    config = changed(sweep__gpus_per_trial=0.25, sweep__cpus_per_trial=2)
    assert needs(config, True) == [Request(resources={"CPU": 2.0, "GPU": 0.25})]
    assert needs(config, False) == [Request(resources={"CPU": 2.0})]


def test_trials_are_ranked_by_how_far_they_came_and_then_by_score() -> None:
    records = [record(0, 0.5, 0.5), record(1, 0.9, state="stopped"), record(2, state="failed"), record(3, 0.6, 0.8)]
    assert [one.number for one in ranked(records, CONFIG)] == [3, 0, 1, 2]
    assert [one.number for one in ranked([record(1, 0.5, 0.5), record(0, 0.5, 0.5)], CONFIG)] == [0, 1]


def test_a_trial_is_kept_with_its_means_and_its_score_on_each_hold_out() -> None:
    one = record(3, 0.4, 0.6)
    full = override_scores(one)
    found = described(full, CONFIG)
    assert found["accuracy/hm"] == found["metrics"]["accuracy/hm"] == pytest.approx(0.5)
    assert (found["metrics"]["holdout/0"], found["metrics"]["holdout/1"]) == (0.4, 0.6)
    assert "scores" not in found
    failed = described(record(2, state="failed"), CONFIG)
    assert (failed["accuracy/hm"], failed["metrics"], failed["error"]) == (None, {}, "RuntimeError: it broke")


def override_scores(one):
    """Return the record with every metric that a real trial has."""
    scores = tuple({**score, "accuracy/seen": 0.5, "accuracy/unseen": 0.5} for score in one.scores)
    return type(one)(**{**vars(one), "scores": scores})


def test_rows_that_have_the_winners_settings_are_generative_ones_of_the_profile_best() -> None:
    config = changed(fit__profiles=("best", "paper"))
    marked = {(row["method"], row["profile"]) for row in planned_rows(config) if has_winner(row)}
    methods = {"gmmn", "wgan", "primitive", "primitive+align", "pading", "pading+img"}
    assert marked == {(method, "best") for method in methods}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"trials": 0}, "must be at least 1"),
        ({"max_feature_rows": 0}, "must be at least 1"),
        ({"confirm": 1}, "at least 2 fresh hold-outs, or on 0"),
        ({"confirm": -1}, "at least 2 fresh hold-outs, or on 0"),
        ({"cpus_per_trial": 0.0}, "must be positive"),
        ({"timeout_s": -1.0}, "not negative"),
        ({"name": "../up"}, "no plain name"),
        ({"name": "a/b"}, "no plain name"),
    ],
)
def test_what_cannot_be_swept_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SweepConfig(**fields)


def test_a_grid_of_ranges_is_refused_before_anything_starts() -> None:
    with pytest.raises(ValueError, match="is a range"):
        require_search(changed(sweep__search="grid", sweep__space="lambda-tau"))
    require_search(changed(sweep__search="grid", sweep__space="paper-table-3"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--sweep.space", "lamda-tau"], "did you mean 'lambda-tau'"),
        (["--sweep.space", "none.json"], "no such file"),
        (["--sweep.search", "grid"], "is a range: list its values"),
    ],
)
def test_a_wrong_search_is_one_clear_line_before_the_first_stage(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "smoke", "--run-dir", str(tmp_path / "run"), *flags]) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert message in stderr
    assert not (tmp_path / "run" / "shapes").exists()
