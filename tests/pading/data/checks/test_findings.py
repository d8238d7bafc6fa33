import pytest

from pading.data.checks.findings import MAX_FINDINGS_SHOWN, Finding, findings_to_text
from pading.data.errors import DataError, MissingFileError


def finding(severity="error", file="a.jpg", is_skippable=False):
    return Finding(severity=severity, file=file, what="is odd", remedy="look", is_skippable=is_skippable)


@pytest.mark.parametrize("kind", [DataError, MissingFileError])
def test_an_error_and_its_finding_read_the_same(kind):
    error = kind("a.jpg", "is odd", "look")
    assert Finding.from_error(error, is_skippable=True) == finding(is_skippable=True)
    assert finding().line == f"error: {error}"


def test_a_finding_that_nothing_depends_on_becomes_a_warning_that_says_so():
    assert finding(is_skippable=True).as_warning("left out").line == "warning: a.jpg: is odd (left out); look"
    assert not finding(is_skippable=True).as_warning("left out").is_skippable


def test_the_gravest_come_first_and_the_rest_is_counted():
    found = [finding("warning", "c")] * MAX_FINDINGS_SHOWN + [finding(file="b", is_skippable=True), finding(file="a")]
    lines = list(findings_to_text(found))
    assert [line.split(":")[1].strip() for line in lines[:3]] == ["a", "b", "c"]
    assert len(lines) == MAX_FINDINGS_SHOWN + 1
    assert lines[-1] == "  ... and 2 more"


def test_few_findings_are_all_shown():
    assert list(findings_to_text([finding()])) == ["  error: a.jpg: is odd; look"]
    assert list(findings_to_text([])) == []
