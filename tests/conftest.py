"""Fixtures that every test may use."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

REAL_DATA = Path(os.environ.get("PADING_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real COCO photos, text embeddings and metric oracles; skips where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real data folder {REAL_DATA} is absent; set PADING_TEST_DATA to run this test")
    return REAL_DATA


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """The one Ray session that all tests share."""
    from cluster.session import connect

    connect(num_cpus=2)
    yield
    import ray

    ray.shutdown()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Interrupts are heard, as at a terminal: a shell takes them away from what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def several_hosts() -> None:
    """Skips where this process may not make hosts with networks of their own."""
    from tests.cluster.hosts import why_no_hosts

    if why := why_no_hosts():
        pytest.skip(why)


@pytest.fixture(scope="session")
def smoke_run(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the preset `smoke`: every stage, real libraries, toy sizes. Read it, do not change it."""
    from jobs.__main__ import main

    run_dir = tmp_path_factory.mktemp("smoke") / "run"
    assert main(["run", "smoke", "--run-dir", str(run_dir)]) == 0
    return run_dir


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs Ray is marked, and runs with warnings as warnings: Ray's own dependencies raise many."""
    for item in items:
        if {"ray_session", "smoke_run", "head"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.ray)
            item.add_marker(pytest.mark.filterwarnings("default"))
