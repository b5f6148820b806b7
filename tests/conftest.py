"""Fixtures that every room uses."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    folder = Path(os.environ.get("BERTKIT_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real data: BERTKIT_DATA is not set and {BESIDE} is not there")
    return folder
