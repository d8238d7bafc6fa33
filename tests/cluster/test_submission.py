"""Following a log; jobs on a real cluster are in tests/jobs/test_submit.py."""

from cluster.submission import _Log


def test_a_log_that_is_streamed_again_is_shown_once() -> None:
    shown: list[str] = []
    log = _Log(shown.append)
    for stream in (["one\n", "two\n"], ["one\ntwo\nth"], ["one\n", "two\nthree\n"], ["one\ntwo\nthree\n"]):
        end = 0
        for lines in stream:
            end += len(lines)
            log.take(lines, end)
    assert "".join(shown) == "one\ntwo\nthree\n"
    assert all(shown)
