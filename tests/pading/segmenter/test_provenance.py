import json
from pathlib import Path

import pytest

from pading.classes import ClassTable
from pading.data.errors import DataError, MissingFileError
from pading.segmenter.provenance import UNKNOWN_CLASSES, Provenance, judge, read_provenance, write_provenance

CLASSES = ClassTable(
    name="farm",
    names=("dog", "grass-merged", "cow", "giraffe"),
    coco_ids=(1, 2, 3, 4),
    is_thing=(True, False, True, True),
    is_seen=(True, False, False, True),
)
RANDOM = Provenance()


def test_a_source_of_seen_and_foreign_classes_is_clean() -> None:
    found = judge("source", "abc", ("dog", "horse"), RANDOM, CLASSES)
    assert (found.leaky, found.reason, found.unseen_names) == (False, "", ())
    assert found.trained_names == ("dog", "horse")
    assert found.line == "source (abc)"


def test_a_source_that_knew_an_unseen_class_is_leaky_however_it_spells_it() -> None:
    found = judge("source", "abc", ("dog", "Grass", "cattle, cow"), RANDOM, CLASSES)
    assert found.leaky
    assert found.unseen_names == ("grass-merged", "cow")
    assert found.line == ("source (abc); LEAKY: it was trained on 2 of 2 unseen classes (grass-merged, cow)")


@pytest.mark.parametrize(("names", "origin"), [(None, RANDOM), (("dog",), None)])
def test_what_is_not_known_is_leaky(names: tuple[str, ...] | None, origin: Provenance | None) -> None:
    found = judge("source", "abc", names, origin, CLASSES)
    assert (found.leaky, found.reason) == (True, UNKNOWN_CLASSES)


def test_a_leak_is_inherited() -> None:
    leaky = judge("first", "abc", None, None, CLASSES)
    found = judge("second", "def", ("dog",), leaky, CLASSES)
    assert (found.leaky, found.unseen_names) == (True, ())
    assert found.reason == f"it was leaky itself: {UNKNOWN_CLASSES}"


def test_a_random_start_says_so() -> None:
    assert RANDOM.line == "random weights"
    assert Provenance(backbone="r50.pt", backbone_digest="12").line == "random weights, backbone from r50.pt (12)"


def test_a_mark_has_a_reason_and_a_reason_a_mark() -> None:
    for leaky, reason in ((True, ""), (False, "because")):
        with pytest.raises(ValueError, match=f"leaky is {leaky}, its reason '{reason}'"):
            Provenance(leaky=leaky, reason=reason)


def test_a_provenance_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = judge("søurce", "abc", ("cow",), RANDOM, CLASSES)
    write_provenance(tmp_path, written)
    assert read_provenance(tmp_path) == written


@pytest.mark.parametrize("text", ["", "[]", '{"leaky": 1}', '{"leaky": true}', '{"licky": true}', "[" * 100_000])
def test_a_file_that_is_no_provenance_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(DataError, match=r"provenance\.json: is no provenance .*; pretrain the segmenter again"):
        read_provenance(tmp_path)


def test_a_mark_cannot_be_lost_by_deleting_its_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"provenance\.json: no such file, so nobody knows"):
        read_provenance(tmp_path)


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    write_provenance(tmp_path, judge("source", "abc", ("cow",), RANDOM, CLASSES))
    content = json.loads((tmp_path / "provenance.json").read_text())
    assert (content["source"], content["leaky"], content["unseen_names"]) == ("source", True, ["cow"])
