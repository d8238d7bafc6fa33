"""What the stage `sweep` adds to its trials, and the verb that draws its pages again."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from cluster.run_record import RunRecord
from jobs.__main__ import main
from jobs.sweep_diagnosis import MOST_POINTS, sweep_diagnosis
from jobs.sweep_pages import (
    BOTH,
    CHOSEN,
    DEFAULT,
    SweepReport,
    diagnosis,
    mean_discrepancies,
    sweep_report,
    write_pages,
)
from jobs.sweep_records import sweep_records
from pading.config import override
from pading.data.errors import DataError, MissingFileError
from pading.evaluate.sweeps.report import SweepDiagnosis
from pading.evaluate.sweeps.report import sweep_report as checked
from pading.zeroshot.fit_inputs import FitInputs
from pading.zeroshot.methods import MethodConfig
from pading.zeroshot.pseudo_unseen import hold_out_in_turn
from tests.jobs.evaluated_run import make_run
from tests.references.zeroshot_world import UNSEEN, world_of_combinations
from tests.sweeps import best, report, trials
from tuning.journal import Journal, TrialRecord
from tuning.sweep import JOURNAL, best_so_far
from tuning.trial import TrialInputs, judge, problem_of

WORLD = world_of_combinations()
SHORT = {
    "generator.steps": 40,
    "generator.structure_weight": 0.0,
    "classifier.steps": 20,
    "primitive.num_primitives": 8,
    "primitive.heads": 2,
}
CURRENT = {"generator.tau": 0.1}


@pytest.fixture(scope="module")
def inputs() -> TrialInputs:
    return TrialInputs(
        cached=FitInputs.of(WORLD.train, WORLD.text.numpy(), WORLD.old_head, WORLD.classes),
        config=override(MethodConfig(), SHORT),
        hold_outs=hold_out_in_turn(WORLD.classes, 0.3, 2, 0),
        seed=0,
    )


def record(number: int, *scores: dict[str, float], state: str = "complete") -> TrialRecord:
    return TrialRecord(
        number=number, settings=dict(CURRENT), state=state, scores=scores, seconds=1.0, cpu_seconds=1.0, error=""
    )


def test_a_trial_says_how_far_each_class_was_that_it_did_without(inputs: TrialInputs) -> None:
    scores = judge(inputs, {}, 0).scores()
    held_out = inputs.hold_outs[0]
    names = {f"mmd/{held_out.names[index]}" for index in held_out.unseen}
    assert {name for name in scores if name.startswith("mmd/")} == names
    assert not any(name in scores for name in (f"mmd/{unseen}" for unseen in UNSEEN))


def test_a_trial_that_looks_at_unseen_classes_measures_no_discrepancy(inputs: TrialInputs) -> None:
    val = FitInputs.of(WORLD.test, WORLD.text.numpy(), WORLD.old_head, WORLD.classes)
    scores = judge(dataclasses.replace(inputs, leaked=val), {}, 0).scores()
    assert not any(name.startswith("mmd/") for name in scores)


def test_a_class_has_the_mean_of_the_hold_outs_that_held_it_out() -> None:
    scores = {"accuracy/hm": 0.5, "mmd/star": 0.2}, {"accuracy/hm": 0.5, "mmd/star": 0.4, "mmd/ring": 1.0}
    assert mean_discrepancies(record(0, *scores)) == pytest.approx({"mmd/star": 0.3, "mmd/ring": 1.0})
    assert mean_discrepancies(record(0)) == {}


def test_the_best_so_far_is_read_from_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / JOURNAL)
    journal.append(record(0, {"accuracy/hm": 0.9}, state="stopped"))
    assert best_so_far(tmp_path, "hm") == ""
    for number, score in ((1, 0.5), (2, 0.6123), (3, 0.4)):
        journal.append(record(number, {"accuracy/hm": score}))
    assert best_so_far(tmp_path, "hm") == "best accuracy/hm 0.612, trial 2"


def test_only_seen_classes_are_looked_at_and_equal_settings_once(inputs: TrialInputs) -> None:
    same = diagnosis(inputs, CURRENT, CURRENT)
    other = diagnosis(inputs, {"generator.tau": 0.2}, CURRENT)
    assert (same["generators"], other["generators"]) == ([BOTH], [CHOSEN, DEFAULT])
    held_out = inputs.hold_outs[0]
    names = [held_out.names[index] for index in held_out.unseen]
    assert [one["name"] for one in other["classes"]] == names
    assert [one["name"] for one in other["planes"]["classes"]] == names
    assert not set(UNSEEN) & {found["nearest"] for one in other["classes"] for found in one["generators"]}
    assert other == diagnosis(inputs, {"generator.tau": 0.2}, CURRENT)
    assert len(other["planes"]["real"]["x"]) <= MOST_POINTS
    text = json.loads(json.dumps(other))
    assert isinstance(checked(Path("x"), report(diagnosis=text)).diagnosis, SweepDiagnosis)


def test_a_fit_that_sees_a_held_out_class_is_refused(inputs: TrialInputs) -> None:
    problem = problem_of(inputs, 0)
    leaky = dataclasses.replace(
        problem.inputs.features, labels=torch.full_like(problem.inputs.features.labels, problem.classes.unseen[0])
    )
    with pytest.raises(ValueError, match="may not be fitted on"):
        sweep_diagnosis(
            problem.inputs._replace(features=leaky), problem.rows, problem.classes, {CHOSEN: inputs.config}, 0
        )


def told(inputs: TrialInputs, tmp_path: Path, **changes: bool) -> tuple[list[Path], list[RunRecord]]:
    config, run_dir = make_run(tmp_path / "run", [])
    records = [one | {"state": "failed" if one["error"] else "complete"} for one in trials()]
    settings = {"generator.tau": 0.2, "primitive.num_primitives": 8}
    chosen = best() | {"settings": settings, "verdict": None, "leaky": False, "is_current": False, "number": 9}
    records[9] = records[9] | {"settings": settings}
    folder = tmp_path / "sweep"
    pages = write_pages(
        folder, config, run_dir, inputs, records, chosen, records[0]["settings"] | {"primitive.num_primitives": 400}
    )
    return pages, sweep_records(config, run_dir, {}, records, chosen, pages)


def test_the_pages_go_with_the_sweep_to_mlflow_and_classes_do_not(inputs: TrialInputs, tmp_path: Path) -> None:
    pages, (parent, *children) = told(inputs, tmp_path)
    assert [Path(path).name for path in parent.artifacts] == ["sweep.html", "sweep.md", "sweep.json"]
    assert all(page.is_file() for page in pages)
    assert not any(name.startswith("mmd/") for one in (parent, *children) for name in one.metrics)
    assert children[1].metrics["mmd"] == pytest.approx(trials()[1]["metrics"]["mmd/star"])
    assert "mmd" not in children[-1].metrics  # failed
    assert all(not child.artifacts for child in children)


def test_pages_are_drawn_again_from_a_run_a_folder_or_old_trials(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = tmp_path / "run" / "sweep", tmp_path / "run" / "sweeps" / "old"
    for folder in (new, old):
        folder.mkdir(parents=True)
        (folder / "trials.json").write_text(json.dumps(trials()))
        (folder / "best.json").write_text(json.dumps(best()))
    (new / "sweep.json").write_text(json.dumps(report()))
    assert main(["sweep-report", str(tmp_path / "run"), str(old)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(new / "sweep.html"), str(old / "sweep.html")]
    assert "&lt;demo&gt;" in (new / "sweep.html").read_text()
    assert "Synthetic features" not in (old / "sweep.html").read_text()
    assert (old / "sweep.md").is_file()


def test_what_is_no_sweep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sweep is named"):
        sweep_report(SweepReport(runs=()))
    with pytest.raises(MissingFileError, match="no such folder"):
        sweep_report(SweepReport(runs=(tmp_path / "nowhere",)))
    with pytest.raises(MissingFileError, match=r"trials\.json: no such file"):
        sweep_report(SweepReport(runs=(tmp_path,)))
    (tmp_path / "sweep.json").write_text("[]")
    with pytest.raises(DataError, match="'objective'"):
        sweep_report(SweepReport(runs=(tmp_path,)))
