"""The journal of finished photos: what it goes on from after any kind of end."""

import json
from pathlib import Path

import pytest

from jobs.json_lists import write_list, write_lists
from jobs.prediction_journal import JOURNAL, Journal
from jobs.prediction_lists import image_ids
from pading.data.errors import DataError

SETTINGS = {"outputs": ["panoptic"]}


def journal_of(folder: Path, *names: str) -> Path:
    journal = Journal.open(folder, SETTINGS, again=False)
    for name in names:
        journal.add({"name": name, "height": 3}, f"stamp of {name}")
    journal.close()
    return folder / JOURNAL


def test_what_was_finished_is_known_unless_it_changed(tmp_path: Path) -> None:
    journal_of(tmp_path, "a", "b")
    journal = Journal.open(tmp_path, SETTINGS, again=False)
    assert journal.has("a", "stamp of a")
    assert not journal.has("a", "another")
    assert not journal.has("c", "stamp of c")
    assert [entry["name"] for entry in journal.entries(["b", "a"])] == ["b", "a"]
    journal.add({"name": "a", "height": 9}, "another")
    assert [entry["height"] for entry in journal.entries(["a", "b"])] == [9, 3]
    journal.close()


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_line_that_was_cut_short_is_not_finished(cut: int, tmp_path: Path) -> None:
    path = journal_of(tmp_path, "a", "b")
    path.write_bytes(path.read_bytes()[:-cut])
    journal = Journal.open(tmp_path, SETTINGS, again=False)
    assert journal.has("a", "stamp of a")
    assert not journal.has("b", "stamp of b")
    journal.add({"name": "b", "height": 4}, "stamp of b")
    journal.close()
    again = Journal.open(tmp_path, SETTINGS, again=False)
    assert [entry["height"] for entry in again.entries(["a", "b"])] == [3, 4]
    again.close()


def test_predictions_with_other_settings_are_not_mixed(tmp_path: Path) -> None:
    journal_of(tmp_path, "a")
    with pytest.raises(DataError, match=r"with other settings \(outputs\); give another --out, or do it --again"):
        Journal.open(tmp_path, {"outputs": ["overlay"]}, again=False)
    journal = Journal.open(tmp_path, {"outputs": ["overlay"]}, again=True)
    assert not journal.has("a", "stamp of a")
    journal.close()


@pytest.mark.parametrize(
    ("line", "message"),
    [(b"{", "line 2 does not read"), (b"[]", "line 2 is no object"), (b'{"name": 3}', "line 2 names no photo")],
)
def test_a_damaged_line_is_refused(line: bytes, message: str, tmp_path: Path) -> None:
    path = journal_of(tmp_path, "a")
    header = path.read_bytes().splitlines()[0]
    path.write_bytes(header + b"\n" + line + b"\n")
    with pytest.raises(DataError, match=message):
        Journal.open(tmp_path, SETTINGS, again=False)


def test_streamed_lists_are_json(tmp_path: Path) -> None:
    write_lists(tmp_path / "a.json", {"images": iter([{"id": 1}, {"id": 2}]), "none": []})
    assert json.loads((tmp_path / "a.json").read_text()) == {"images": [{"id": 1}, {"id": 2}], "none": []}
    write_list(tmp_path / "b.json", iter(()))
    assert json.loads((tmp_path / "b.json").read_text()) == []
    with pytest.raises(ValueError, match="Out of range float"):
        write_list(tmp_path / "b.json", [1, float("nan")])
    assert json.loads((tmp_path / "b.json").read_text()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_photos_named_by_numbers_have_these_as_ids() -> None:
    assert image_ids(["000000000139", "val/000000000285"]) == [139, 285]
    assert image_ids(["a/1", "b/1"]) == [1, 2]
    assert image_ids(["7", "dog"]) == [1, 2]
    assert image_ids([]) == []
