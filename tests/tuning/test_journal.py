import os
import resource
import signal
from dataclasses import replace

import pytest

from pading.data.errors import DataError
from tests.tuning.sweep_world import record
from tuning.journal import Journal, from_plain_record, to_plain_record

RECORDS = [
    record(1, 0.5, 0.7, **{"generator.bandwidths": (1.0, 2.0), "profile": "best"}),
    record(0, 0.25, state="stopped", tau=0.1),
    record(3, state="failed", tau=0.2),
]


@pytest.mark.parametrize("one", RECORDS)
def test_a_record_is_the_same_after_json(one):
    assert from_plain_record(to_plain_record(one)) == one


def test_the_mean_is_over_the_hold_outs_that_were_judged():
    assert RECORDS[0].mean("accuracy/hm") == pytest.approx(0.6)
    assert RECORDS[1].mean("accuracy/ausuc") == 0.125
    assert RECORDS[2].mean("accuracy/hm") is None


def test_a_journal_read_again_knows_what_was_written(tmp_path):
    journal = Journal(tmp_path / "new" / "trials.jsonl")
    for one in RECORDS:
        journal.append(one)
    again = Journal(journal.path)
    assert again.records == journal.records == {one.number: one for one in RECORDS}
    assert [one.number for one in again.in_order()] == [0, 1, 3]


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_line_that_a_kill_cut_off_is_forgotten_and_the_next_one_stands_alone(kept, tmp_path):
    journal = Journal(tmp_path / "trials.jsonl")
    for one in RECORDS:
        journal.append(one)
    lines = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(b"".join(lines[:kept]) + lines[kept][:-1])  # all but the line end
    again = Journal(journal.path)
    assert list(again.records.values()) == RECORDS[:kept]
    again.append(RECORDS[kept])
    assert list(Journal(journal.path).records.values()) == RECORDS[: kept + 1]


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "null",
        "word",
        '{"number": 1}',
        '{"number": "1", "settings": {}, "state": "complete", "scores": [], "seconds": 1, "error": ""}',
        '{"number": 1, "settings": {}, "state": "fine", "scores": [], "seconds": 1, "cpu_seconds": 1, "error": ""}',
        '{"number": 1, "settings": {}, "state": "complete", "scores": [{"a": "b"}], "seconds": 1, "error": ""}',
    ],
)
def test_a_line_that_is_no_trial_is_named(line, tmp_path):
    journal = Journal(tmp_path / "trials.jsonl")
    journal.append(RECORDS[0])
    with journal.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"trials.jsonl, line 2.*is no trial") as caught:
        Journal(journal.path)
    assert "--force" in str(caught.value)


def test_a_number_is_there_once(tmp_path):
    journal = Journal(tmp_path / "trials.jsonl")
    journal.append(RECORDS[0])
    journal.path.write_bytes(2 * journal.path.read_bytes())
    with pytest.raises(DataError, match="has trial 1 a second time"):
        Journal(journal.path)


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path):
    """A limit on the size of files stands in for the disk: the system refuses the write in the same place."""
    journal = Journal(tmp_path / "trials.jsonl")
    journal.append(RECORDS[0])
    size = os.path.getsize(journal.path)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
        with pytest.raises(OSError, match="File too large"):
            journal.append(RECORDS[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(journal.records) == list(Journal(journal.path).records) == [1]
    journal.append(replace(RECORDS[1], number=2))
    assert list(Journal(journal.path).records) == [1, 2]
