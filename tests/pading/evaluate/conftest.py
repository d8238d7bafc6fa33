"""The small random world that scores are tested in."""

from types import SimpleNamespace

import pytest

from tests.references import evaluate_world


@pytest.fixture(scope="session", name="random_world")
def made_world() -> SimpleNamespace:
    """`classes`, `images`, `image(id)`, `scorer(seed, inference)` and its `lenient` inference."""
    return evaluate_world.random_world()
