"""What a table says of labels."""

import pytest

from bertkit.errors import UserError
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.kind import UNSURE, Wanted

ANSWER = {"label": "2", "probabilities": {"1": 0.25, "2": 0.5, "3": 0.25}}


def test_columns_and_what_stands_in_them() -> None:
    names = ("1", "2", "3")
    for wanted, columns, cells in (
        (Wanted(), ["label", "probability"], ["2", 0.5]),
        (Wanted(least=0.6), ["label", "probability"], [UNSURE, 0.5]),
        (
            Wanted(top=2, every=True),  # no column is called as another, though labels are numbers
            ["label", "probability", "label_2", "probability_2", *(f"probability_of_{n}" for n in names)],
            ["2", 0.5, "1", 0.25, 0.25, 0.5, 0.25],
        ),
    ):
        assert list(CLASSIFY.columns(names, wanted)) == columns
        assert CLASSIFY.cells(ANSWER, wanted) == cells
    assert len(CLASSIFY.columns(names, Wanted(top=9))) == len(CLASSIFY.cells(ANSWER, Wanted(top=9))) == 6


def test_labels_are_counted() -> None:
    assert CLASSIFY.overview(["a", "b", "b", "b"]) == {"b": "3 (75.0%)", "a": "1 (25.0%)"}


def test_a_label_that_is_called_unsure_is_no_doubt() -> None:
    assert CLASSIFY.columns((UNSURE, "sure"), Wanted())
    with pytest.raises(UserError, match="called 'unsure' itself"):
        CLASSIFY.columns((UNSURE, "sure"), Wanted(least=0.5))
