"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

REAL_DATA = Path(os.environ.get("PADING_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real COCO photos, text embeddings and metric oracles; skips where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real data folder {REAL_DATA} is absent; set PADING_TEST_DATA to run this test")
    return REAL_DATA
