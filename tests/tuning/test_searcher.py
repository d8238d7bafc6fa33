import pytest
from ray.tune.search import Searcher

from tests.tuning.sweep_world import record
from tuning.journal import Journal
from tuning.searcher import DIED, NUMBER, SETTINGS, JournalSearcher


def searcher(tmp_path, known=None, **changes):
    """A searcher of five trials; `known` receives what each proposal was told."""
    told = {} if known is None else known

    def propose(number, records):
        told[number] = [one.number for one in records]
        return {"tau": number / 10}

    options = {"num_trials": 5, "num_hold_outs": 2, "window": 0, "on_end": lambda ended: None} | changes
    return JournalSearcher(propose, Journal(tmp_path / "trials.jsonl"), **options)


def end(one, trial_id, *values, **more):
    scores = [{"accuracy/hm": value} for value in values]
    one.on_trial_complete(trial_id, {"scores": scores, "time_total_s": 2.0, "cpu_seconds": 1.5, **more})


def test_numbers_are_handed_out_once_and_then_no_more(tmp_path):
    one = searcher(tmp_path)
    found = [one.suggest(f"id{number}") for number in range(5)]
    assert [config[NUMBER] for config in found] == [0, 1, 2, 3, 4]
    assert found[3][SETTINGS] == {"tau": 0.3}
    assert one.suggest("more") == Searcher.FINISHED


def test_what_ended_is_in_the_journal_with_how_it_ended(tmp_path):
    counted = []
    one = searcher(tmp_path, on_end=counted.append)
    for number in range(4):
        one.suggest(f"id{number}")
    end(one, "id1", 0.5, 0.7)
    end(one, "id0", 0.5)
    end(one, "id2", 0.5, error="ValueError: no")
    one.on_trial_complete("id3", None, error=True)
    records = Journal(tmp_path / "trials.jsonl").records
    assert {number: found.state for number, found in records.items()} == {
        1: "complete",
        0: "stopped",
        2: "failed",
        3: "failed",
    }
    assert (records[2].error, records[3].error) == ("ValueError: no", DIED)
    assert (records[1].seconds, records[1].cpu_seconds, records[1].settings) == (2.0, 1.5, {"tau": 0.1})
    assert counted == [1, 2, 3, 4]


def test_only_what_the_journal_lacks_is_done(tmp_path):
    journal = Journal(tmp_path / "trials.jsonl")
    for number in (0, 3):
        journal.append(record(number, 0.5, 0.5))
    one = searcher(tmp_path)
    assert [one.suggest(f"id{number}")[NUMBER] for number in range(3)] == [1, 2, 4]
    assert one.suggest("more") == Searcher.FINISHED


@pytest.mark.parametrize("order", ["01", "10"])
def test_inside_a_window_a_proposal_waits_and_knows_the_same_whoever_was_quicker(order, tmp_path):
    known = {}
    one = searcher(tmp_path, known, window=2)
    assert one.suggest("id0")[NUMBER] == 0
    assert one.suggest("id1")[NUMBER] == 1
    assert one.suggest("id2") is None  # needs trial 0
    for number in order:
        end(one, f"id{number}", 0.5, 0.5)
    assert one.suggest("id2")[NUMBER] == 2
    assert one.suggest("id3")[NUMBER] == 3
    assert known == {0: [], 1: [], 2: [0], 3: [0, 1]}


def test_a_journal_that_cannot_be_written_ends_the_search_and_is_kept_to_be_raised(tmp_path):
    one = searcher(tmp_path)
    one.suggest("id0")
    one.journal.path = tmp_path  # a folder
    end(one, "id0", 0.5, 0.5)
    assert isinstance(one.broken, OSError)
    assert one.suggest("id1") == Searcher.FINISHED
