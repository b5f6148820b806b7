"""Fixtures that every room uses."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bertkit.data.packed import Sequences

# Read when torch is first imported: threads that wait for each other cost more than these tests compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    folder = Path(os.environ.get("BERTKIT_DATA", BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real data: BERTKIT_DATA is not set and {BESIDE} is not there")
    return folder


@pytest.fixture(scope="session")
def random_sequences() -> Callable[..., Sequences]:
    """A function (lengths, vocabulary=99, seed=0) -> sequences of random pieces, each of two segments."""

    def make(lengths: list[int], vocabulary: int = 99, seed: int = 0) -> Sequences:
        generator = np.random.default_rng(seed)
        return Sequences(
            ids=generator.integers(0, vocabulary, sum(lengths)).astype(np.int32),
            starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            second=generator.integers(1, np.array(lengths) + 1).astype(np.int32),
        )

    return make
