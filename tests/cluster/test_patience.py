import os
import threading
import time
from contextlib import suppress

import pytest

from cluster.patience import SETTINGS, Patience, impatient, within


def test_an_answer_in_time_is_returned() -> None:
    assert within(30, lambda: "run 7") == "run 7"


def test_an_error_in_time_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        within(30, lambda: 1 / 0)


def test_what_hangs_is_left_behind() -> None:
    end = threading.Event()
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="no answer within 0 s"):
        within(0.05, end.wait)
    assert time.monotonic() - start < 10
    end.set()


def test_patience_grows_with_the_runs_and_shrinks_with_the_time_spent() -> None:
    patience = Patience(start_s=10, per_run_s=2)
    assert patience.for_next_run() == 12
    patience.spent_s = 13
    assert patience.for_next_run() == 1
    patience.spent_s = 40
    assert patience.for_next_run() < 0
    assert Patience(longest_s=5).for_next_run() == 5


def test_time_spent_on_a_failure_counts() -> None:
    patience = Patience()
    with suppress(ValueError), patience.spending():
        time.sleep(0.02)
        raise ValueError("refused")
    assert patience.spent_s >= 0.02


def test_after_a_pause_the_next_run_is_tried_again() -> None:
    patience = Patience(pause_s=0.05)
    patience.pause()
    assert patience.for_next_run() == 0
    time.sleep(0.06)
    assert patience.for_next_run() > 0


def test_the_environment_is_as_before_and_the_users_settings_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    with impatient():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == SETTINGS["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]
    assert dict(os.environ) == before
