import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.secrets import HIDDEN, masked, secret_values

SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "hunter2-hunter2",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "RAY_AUTH_TOKEN": "5f2c9b1e",
    "HF_TOKEN": "hf_abcdefgh",
}
HARMLESS = {
    "RAY_AUTH_TOKEN_PATH": "/home/ray/.ray/auth_token",
    "RAY_AUTH_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "parallel",
    "MONKEY": "bananas-and-more",
    "SSH_AUTH_SOCK": "/tmp/agent",
}


def test_variables_are_secret_by_their_names() -> None:
    assert secret_values(SECRETS | HARMLESS) == set(SECRETS.values())


def test_values_of_secret_variables_are_hidden_wherever_they_stand() -> None:
    text = f"401 for key={SECRETS['AWS_SECRET_ACCESS_KEY']}, token '{SECRETS['RAY_AUTH_TOKEN']}' in bananas-and-more"
    assert masked(text, SECRETS | HARMLESS) == f"401 for key={HIDDEN}, token '{HIDDEN}' in bananas-and-more"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://mlflow:s3cret@db:5432/mlflow", "postgresql://***@db:5432/mlflow"),
        ("http://token@mlflow:5000", "http://***@mlflow:5000"),
        ("https://me:p@ss@host/path is gone", "https://***@host/path is gone"),
        ("http://a:b@x and http://c:d@y", "http://***@x and http://***@y"),
        ("sqlite:////runs/demo/mlflow.db", "sqlite:////runs/demo/mlflow.db"),
        ("s3://bucket/me@example.org", "s3://bucket/me@example.org"),
        ("write to me@example.org", "write to me@example.org"),
    ],
)
def test_passwords_in_addresses_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert masked(text, {}) == shown


def test_a_short_value_is_no_secret_but_a_word() -> None:
    assert masked("the task is done", {"API_KEY": "task"}) == "the task is done"


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30), st.text(alphabet="abcdef0123456789", min_size=8, max_size=20), st.text(max_size=30))
def test_no_text_shows_a_secret_and_masking_twice_changes_nothing(before: str, secret: str, after: str) -> None:
    environment = {"SOME_PASSWORD": secret}
    once = masked(before + secret + after, environment)
    assert secret not in once
    assert masked(once, environment) == once
