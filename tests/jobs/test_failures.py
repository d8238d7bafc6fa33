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


def test_work_gives_its_own_exit_code() -> None:
    assert exit_code(lambda: 3, None) == 3


def test_neither_line_nor_trace_shows_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_PASSWORD", "hunter2hunter2")
    error = ValueError("http://me:pass@store refused hunter2hunter2")
    assert exit_code(lambda: raising(error), tmp_path / "error.log") == 1
    shown = capsys.readouterr().err + (tmp_path / "error.log").read_text()
    assert "http://***@store refused ***" in shown
    assert "hunter2hunter2" not in shown
    assert "me:pass" not in shown
