import errno
import os
import signal
import time
from pathlib import Path

import pytest

from jobs.failures import exit_code, one_line, root_cause


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


def test_sigterm_ends_the_work_in_order_and_a_second_one_does_not_interrupt_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, ended = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            ended.append(True)

    assert exit_code(work, None) == 143
    assert ended == [True]
    assert capsys.readouterr().err == "error: terminated; the same command continues where it stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_sigterm_that_a_library_made_an_error_of_is_still_one(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except BaseException as error:
            raise SystemError("returned a result with an exception set") from error

    assert exit_code(work, None) == 143
    assert capsys.readouterr().err == "error: terminated; the same command continues where it stopped\n"


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.json"), "make room (left: {run} "),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "make room (left: {run} "),
        (RuntimeError("SafetensorError: No space left on device (os error 28)"), "make room (left: {run} "),
        (RuntimeError("PytorchStreamWriter failed writing file data/0"), "make room (left: {run} "),
        (OSError(errno.EROFS, "Read-only file system", "a.json"), "allow writing where {run} lies"),
    ],
)
def test_a_disk_at_fault_is_said_with_what_is_left(
    error: Exception, remedy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(lambda: raising(Wrapper(error)), tmp_path / "error.log") == 1
    said = capsys.readouterr().err
    assert remedy.format(run=tmp_path) in said
    assert "then say the same command again; what was finished is kept (trace: " in said


def test_a_trace_that_cannot_be_written_leaves_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(lambda: raising(ValueError("x")), tmp_path / "gone" / "error.log") == 1
    assert exit_code(lambda: raising(ValueError("x")), tmp_path) == 1
    assert capsys.readouterr().err == "error: x\n" * 2


def test_what_ray_data_adds_to_a_message_is_left_out() -> None:
    note = "\nFailed to apply UDF transform after 1/1 attempts (total backoff 0.0s).\nTo change retry attempts, ..."
    assert (
        one_line(OSError(f"a.parquet: cannot be written; make room{note}")) == "a.parquet: cannot be written; make room"
    )
    assert one_line(OSError(28, "No space left on device", note)) == "[Errno 28] No space left on device"
    assert one_line(OSError(2, "No such file", "b.png")) == "[Errno 2] No such file: 'b.png'"
