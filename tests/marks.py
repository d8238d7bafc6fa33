"""Marks that several test files share."""

import os

import pytest

BY_REQUEST = pytest.mark.skipif(
    "PADING_TEST_FAULTS" not in os.environ, reason="takes minutes: set PADING_TEST_FAULTS=1"
)
