import json
import math
from pathlib import Path

import pytest

from pading.data.errors import DataError, MissingFileError
from pading.evaluate.sweeps.report import read_report, sweep_report
from pading.evaluate.sweeps.trials import read_trials, short_names, spoken
from tests.sweeps import DEFAULT, OBJECTIVE, best, comparison, report, trial, trials

HERE = Path("sweep.json")


def read(records, winner, default=DEFAULT):
    return read_trials(HERE, OBJECTIVE, records, winner, default)


def test_trials_stand_best_first_and_failed_ones_last():
    found = read(list(reversed(trials())), best())
    scores = [one.score for one in found.trials if one.state != "failed"]
    assert scores == sorted(scores, reverse=True)
    assert [one.rank for one in found.trials] == list(range(1, 13))
    assert found.trials[-1].state == "failed"


def test_a_trial_that_lacks_a_hold_out_was_stopped_and_compares_with_none():
    found = read(trials(), best())
    (stopped,) = [one for one in found.trials if one.state == "stopped"]
    assert stopped.number == 10
    assert stopped not in found.whole
    assert len(found.whole) == 10


def test_the_winner_and_the_default_are_known_by_their_settings():
    found = read(trials(), best())
    assert (found.chosen.number, found.default.number) == (9, 0)
    assert [one.is_chosen for one in found.trials].count(True) == 1
    assert read(trials(), best(), {"generator.tau": 9.0}).default is None
    assert read(trials(), trials()[0]).chosen is not None
    assert read(trials(), trials()[0]).chosen.is_default


def test_settings_that_all_trials_share_are_no_axis_unless_all_are_shared():
    records = [trial(number, 0.1, primitives, (0.5,)) for number, primitives in enumerate((100, 200))]
    assert read(records, records[0]).settings == ("primitive.num_primitives",)
    alone = read(records[:1], records[0])
    assert alone.settings == ("generator.tau", "primitive.num_primitives")


def test_a_list_of_bandwidths_is_one_word_wherever_it_stands():
    records = [trial(0, 0.1, 100, (0.5,))]
    records[0]["settings"]["generator.bandwidths"] = [2.0, 5.0, 0.125]
    found = read(
        records,
        json.loads(json.dumps(records[0])),
        {**records[0]["settings"], "generator.bandwidths": (2.0, 5.0, 0.125)},
    )
    assert found.chosen.settings["generator.bandwidths"] == "2 5 0.125"
    assert found.default is found.chosen


def test_a_score_that_is_no_number_is_a_failure_and_an_empty_error_none():
    records = [*trials(), trial(12, 0.9, 100, ()) | {OBJECTIVE: math.nan}]
    found = read(records, best())
    assert [one.state for one in found.trials if one.number == 12] == ["failed"]
    assert all(one.error is None for one in found.whole)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "a list of trials is missing"),
        ({"a": 1}, "a list of trials is missing"),
        ([3], "trial 1: 'settings' is None"),
        ([{**trial(0, 0.1, 1, (0.5,)), "settings": {"a": {}}}], "expected names with numbers, words or lists"),
        ([{**trial(0, 0.1, 1, (0.5,)), "metrics": 3}], "trial 1: 'metrics' is 3"),
        ([{**trial(0, 0.1, 1, (0.5,)), "metrics": {"a": "b"}}], "trial 1: 'a' is 'b', expected a number or null"),
        ([{**trial(0, 0.1, 1, (0.5,)), "seconds": True}], "'seconds' is True"),
        ([{**trial(0, 0.1, 1, (0.5,)), "error": 3}], "'error' is 3"),
        ([{**trial(0, 0.1, 1, (0.5,)), "number": -1}], "'number' is -1"),
        ([{"settings": {}, "metrics": {}, "seconds": 1.0}], "'accuracy/hm' is None"),
        ([trial(0, 0.1, 1, (0.5,))], "no trial with a score has the settings of the winner"),
    ],
)
def test_damaged_records_are_refused_by_name(records, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        read(records, best())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": 3}, "'objective'"),
        ({"facts": [1]}, "'facts'"),
        ({"diagnosis": {"classes": 1}}, "'diagnosis' is damaged"),
        ({"comparison": [1]}, "'comparison' is damaged"),
        ({"comparison": {**comparison(), "current": [0.5]}}, "3 and 1 scores"),
        ({"comparison": {**comparison(), "by_images": {"hm": {"difference": "2"}}}}, "'comparison' is damaged"),
    ],
)
def test_damaged_parts_of_a_report_are_refused_by_name(changes, message):
    with pytest.raises(DataError, match=message):
        sweep_report(HERE, report(**changes))


def test_a_group_of_classes_without_a_difference_is_left_out():
    found = sweep_report(HERE, report()).comparison
    assert set(found.groups) == {"unseen", "hm"}
    assert found.groups["hm"].difference == 2.0


def test_a_folder_without_pages_is_read_from_its_trials(tmp_path):
    (tmp_path / "trials.json").write_text(json.dumps(trials()))
    (tmp_path / "best.json").write_text(json.dumps(best() | {"verdict": comparison(), "leaky": True}))
    found = sweep_report(tmp_path, read_report(tmp_path, OBJECTIVE))
    assert found.is_leaky
    assert found.comparison.is_better
    assert found.diagnosis is None


def test_a_folder_without_a_sweep_and_one_that_is_damaged_say_so(tmp_path):
    with pytest.raises(MissingFileError, match=r"trials.json: no such file; run the stage"):
        read_report(tmp_path, OBJECTIVE)
    (tmp_path / "sweep.json").write_bytes(b"\xff{")
    with pytest.raises(DataError, match=r"sweep.json: is not JSON"):
        read_report(tmp_path, OBJECTIVE)


def test_names_are_as_short_as_they_can_be_told_apart():
    names = ["generator.tau", "generator.learning_rate", "classifier.learning_rate"]
    assert list(short_names(names).values()) == ["tau", "generator.learning_rate", "classifier.learning_rate"]


def test_numbers_are_spoken_briefly():
    assert [spoken(value) for value in (0.0123456, 16.0, 12345.6, 400, True, "best", None)] == [
        "0.0123", "16", "12346", "400", "True", "best", "–",
    ]  # fmt: skip
