import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.run_record import RunRecord
from cluster.spool import Spool

ROOT = Path(__file__).resolve().parents[2]

# Replays a spool, slowly, and writes the keys that it was handed.
REPLAYER = """
import sys, time
from pathlib import Path
from cluster.spool import Spool
def send(record):
    with open(sys.argv[2], "a") as seen:
        seen.write(record.key + "\\n")
    time.sleep(0.05)
    return True
print(Spool(Path(sys.argv[1])).replay(send))
"""

# Appends fifty records.
WRITER = """
import sys
from pathlib import Path
from cluster.run_record import RunRecord
from cluster.spool import Spool
for index in range(50):
    Spool(Path(sys.argv[1])).append(RunRecord(experiment="e", key=f"{sys.argv[2]} {index}"))
"""


def record_of(key: str, **fields) -> RunRecord:
    return RunRecord(experiment="pading/panoptic", key=key, **fields)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "deep" / "spool.jsonl")


def test_what_is_appended_is_read_in_order(spool: Spool) -> None:
    assert spool.records() == []
    records = [record_of(f"row {index}", metrics={"pq": index}) for index in range(5)]
    for record in records:
        spool.append(record)
    assert spool.records() == records


def test_records_that_were_taken_are_dropped_and_the_others_stay(spool: Spool) -> None:
    for index in range(4):
        spool.append(record_of(f"row {index}"))
    assert spool.replay(lambda record: record.key in ("row 0", "row 2")) == 2
    assert [record.key for record in spool.records()] == ["row 1", "row 3"]
    assert spool.replay(lambda record: True) == 0
    assert not spool.path.exists()
    assert spool.replay(lambda record: True) == 0


def test_what_is_appended_during_a_replay_stays(spool: Spool) -> None:
    spool.append(record_of("early"))

    def send(record: RunRecord) -> bool:
        spool.append(record_of("late"))
        return True

    assert spool.replay(send) == 1
    assert [record.key for record in spool.records()] == ["late"]


def test_a_replay_that_is_killed_loses_nothing(spool: Spool) -> None:
    for index in range(3):
        spool.append(record_of(f"row {index}"))

    def send(record: RunRecord) -> bool:
        if record.key == "row 1":
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        spool.replay(send)
    assert len(spool.records()) == 3


def test_two_processes_that_replay_one_spool_send_each_record_once(spool: Spool, tmp_path: Path) -> None:
    for index in range(20):
        spool.append(record_of(f"row {index}"))
    command = [sys.executable, "-c", REPLAYER, str(spool.path), str(tmp_path / "seen")]
    processes = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=120)[0].strip() for process in processes] == ["0", "0"]
    assert (tmp_path / "seen").read_text().split("\n")[:-1] == [f"row {index}" for index in range(20)]
    assert not spool.path.exists()


def test_writers_side_by_side_lose_no_line(spool: Spool) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(spool.path), name], cwd=ROOT) for name in "ab"]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    keys = [record.key for record in spool.records()]
    assert sorted(keys) == sorted(f"{name} {index}" for name in "ab" for index in range(50))


def test_a_full_disk_is_said_and_leaves_the_file_as_it_was(spool: Spool) -> None:
    """The limit on the size of a file lets the first half of a line through, as a disk that runs full does."""
    spool.append(record_of("fits"))
    before = spool.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(OSError, match=r"spool\.jsonl: no tracker answers, and run 'too much' .* make room"):
            spool.append(record_of("too much", tags={"note": "x" * 5000}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert spool.path.read_bytes() == before
    spool.append(record_of("fits, too"))
    assert [record.key for record in spool.records()] == ["fits", "fits, too"]


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be kept here"):
        Spool(tmp_path / "file" / "spool.jsonl").append(record_of("row"))


def test_the_line_that_a_killed_writer_left_is_named_and_spoils_no_other(spool: Spool) -> None:
    spool.append(record_of("before"))
    with spool.path.open("a") as lines:
        lines.write('{"experiment": "x"')
    spool.append(record_of("after"))
    sent = []
    with pytest.raises(ValueError, match=r"spool\.jsonl, line 2 is not a run record .*; mend or delete the line"):
        spool.replay(lambda record: sent.append(record) or True)
    assert sent == []
    lines = spool.path.read_text().splitlines()
    spool.path.write_text("\n".join([lines[0], "", lines[2]]) + "\n")
    assert [record.key for record in spool.records()] == ["before", "after"]


def test_bytes_that_are_no_text_are_named(spool: Spool) -> None:
    spool.append(record_of("row"))
    spool.path.write_bytes(spool.path.read_bytes() + b"\xff\xfe\n")
    with pytest.raises(ValueError, match="line 2 is not a run record"):
        spool.records()


def test_a_line_is_plain_json(spool: Spool) -> None:
    spool.append(record_of("row", metrics={"pq/seen": 50.0}))
    assert json.loads(spool.path.read_text())["metrics"] == {"pq/seen": 50.0}
