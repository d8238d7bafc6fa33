from pathlib import Path

import pytest

from jobs.failures import exit_code, root_cause


class Wrapper(Exception):
    def __init__(self, cause: BaseException) -> None:
        super().__init__("a wall of text")
        self.cause = cause


def raising(error: BaseException) -> None:
    raise error


def test_a_failure_is_one_line_and_a_trace_in_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = Wrapper(ValueError("a.jpg is truncated;\n download it again"))
    assert exit_code(lambda: raising(error), tmp_path / "error.log") == 1
    stderr = capsys.readouterr().err
    assert stderr == f"error: a.jpg is truncated; download it again (trace: {tmp_path / 'error.log'})\n"
    assert "Wrapper: a wall of text" in (tmp_path / "error.log").read_text()


def test_a_defect_is_named_by_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: raising(KeyError("x")), None) == 1
    assert capsys.readouterr().err == "error: KeyError: 'x'\n"


def test_success_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: None, None) == 0
    assert capsys.readouterr().err == ""


def test_the_cause_is_found_under_any_wrapping() -> None:
    inner = FileNotFoundError("b.png")
    middle = RuntimeError("task failed")
    middle.__cause__ = inner
    assert root_cause(Wrapper(middle)) is inner
    circular = Wrapper(ValueError("v"))
    circular.__cause__ = circular
    assert str(root_cause(circular)) == "v"
