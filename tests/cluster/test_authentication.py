from pathlib import Path

import pytest

from cluster.authentication import find_token, is_loopback, require_closed_cluster
from cluster.session import connect

TOKEN_MODE = {"RAY_AUTH_MODE": "token"}


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "http://127.0.0.1:8265", "localhost", "ray://[::1]:10001"])
def test_loopback_is_this_machine_alone(address: str) -> None:
    assert is_loopback(address)
    require_closed_cluster(address, {})


@pytest.mark.parametrize(
    "address", ["10.0.0.3:6379", "http://head:8265", "auto", "0.0.0.0:6379", "127.0.0.1.example.org:6379", ""]
)
def test_a_cluster_that_others_can_reach_must_authenticate(address: str) -> None:
    assert not is_loopback(address)
    require_closed_cluster(address, TOKEN_MODE)
    for environment in ({}, {"RAY_AUTH_MODE": "disabled"}):
        with pytest.raises(ValueError, match="can be reached from other machines and RAY_AUTH_MODE is not 'token'"):
            require_closed_cluster(address, environment)


def test_a_cluster_of_our_own_needs_no_more_than_ray_does_itself() -> None:
    require_closed_cluster("local", {})


def test_connecting_to_an_open_cluster_is_refused_before_ray_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(ValueError, match=r"the Ray cluster '192\.0\.2\.1:6379' can be reached from other machines"):
        connect()


def test_a_token_is_found_where_ray_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_token(TOKEN_MODE | {"RAY_AUTH_TOKEN": "secret"}) == "secret"
    (tmp_path / "token").write_text("other\n")
    assert find_token(TOKEN_MODE | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}) == "other"
    with pytest.raises(ValueError, match=r"no token: RAY_AUTH_TOKEN is not set and .*\.ray/auth_token is no file"):
        find_token(TOKEN_MODE)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(" \n")
    with pytest.raises(ValueError, match="no token"):
        find_token(TOKEN_MODE)
    (tmp_path / ".ray" / "auth_token").write_text("usual")
    assert find_token(TOKEN_MODE) == "usual"


def test_without_token_mode_a_token_does_not_count() -> None:
    with pytest.raises(ValueError, match="RAY_AUTH_MODE is not set: without it no token is sent"):
        find_token({"RAY_AUTH_TOKEN": "secret"})
