"""Rows as a model reads them, and the units that steps are made of."""

import numpy as np
import pytest
from asking import encoded

from bertkit.data.packed import Sequences, WindowIndex
from bertkit.tasks.encoded import IGNORED, Encoded
from bertkit.tasks.examples import Targets

# Two rows of three windows in all, of two tokens, one and three.
WINDOWS = Sequences(
    ids=np.arange(6, dtype=np.int32),
    starts=np.array([0, 2, 3, 6]),
    second=np.array([2, 1, 3], dtype=np.int32),
    windows=WindowIndex(np.array([0, 2, 3]), np.array([0, 1, 0])),
)
TAGS = Targets(np.array([IGNORED, 1, 0, IGNORED, 2, 2]), WINDOWS.starts)


def test_a_unit_is_a_row_or_one_of_its_windows() -> None:
    assert len(Encoded(WINDOWS, TAGS).units) == 2
    apart = Encoded(WINDOWS, TAGS, together=False)
    assert len(apart.units) == len(TAGS) == 3
    assert apart.counted.tolist() == [1, 1, 2]


def test_some_units_keep_their_tokens_and_targets() -> None:
    some = Encoded(WINDOWS, TAGS, together=False).only(np.array([2, 0]))
    assert some.units.ids.tolist() == [3, 4, 5, 0, 1]
    assert some.learned.values.tolist() == [IGNORED, 2, 2, IGNORED, 1]
    assert some.counted.tolist() == [2, 1]
    rows = WINDOWS.only(np.array([1, 0]))
    assert (rows.ids.tolist(), rows.lengths.tolist()) == ([3, 4, 5, 0, 1, 2], [3, 3])
    assert rows.windows is not None
    assert rows.windows.offsets.tolist() == [0, 0, 1]


@pytest.mark.parametrize("values", [[0, 1, 1], [0.5, float(IGNORED), 2.0], [[0, 1], [1, 1], [0, 0]]])
def test_of_rows_with_one_target_each_every_one_counts(values: list) -> None:
    found = encoded(np.array(values))
    assert found.counted.tolist() == [1, 1, 1]
    assert found.only(np.array([2, 0])).learned.values.tolist() == [values[2], values[0]]


def test_no_rows_have_no_targets() -> None:
    assert TAGS.only([]).values.tolist() == []
    assert len(TAGS.only([])) == 0
