"""Spans of a text: the best of one window, of all, and the tokens that they are of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.tasks.spans import Span, best_spans, merged, tokens_of

LOGITS = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), max_size=12)


@given(LOGITS, st.integers(1, 13), st.integers(1, 9))
def test_the_best_spans_are_those_of_a_search_through_all(
    logits: list[tuple[int, int]], longest: int, most: int
) -> None:
    every = [
        (first, last, float(logits[first][0] + logits[last][1]))
        for first in range(len(logits))
        for last in range(first, min(first + longest, len(logits)))
    ]
    found = best_spans(np.array(logits, dtype=np.float32).reshape(-1, 2), longest, most)
    expected = sorted((span[2] for span in every), reverse=True)[:most]
    assert [score for *_, score in found] == expected
    assert set(found) <= set(every)
    assert len(set(found)) == len(found)


def test_the_best_span_need_not_start_where_it_is_likeliest() -> None:
    logits = np.array([[0, 9], [5, 0], [4, 3], [0, 0]], dtype=np.float32)
    assert best_spans(logits, 4, 2) == [(0, 0, 9.0), (1, 2, 8.0)]


def test_a_span_that_two_windows_see_counts_once_with_its_better_score() -> None:
    first, second = [Span(0, 4, 1.0), Span(5, 9, 0.5)], [Span(5, 9, 2.0), Span(10, 12, -1.0)]
    assert merged([first, second]) == [Span(5, 9, 2.0), Span(0, 4, 1.0), Span(10, 12, -1.0)]
    assert merged([first, second], 1) == [Span(5, 9, 2.0)]
    assert merged([]) == []


OFFSETS = np.array([[0, 3], [4, 6], [6, 9], [11, 12]])  # "Ann playing  x": ann, play, ##ing, x, say


@pytest.mark.parametrize(
    ("characters", "tokens"),
    [
        ((0, 3), (0, 0)),
        ((4, 9), (1, 2)),
        ((0, 12), (0, 3)),
        ((5, 6), (1, 1)),
        ((7, 11), (2, 2)),
        ((9, 11), None),
    ],
)
def test_characters_are_those_of_tokens(characters: tuple[int, int], tokens: tuple[int, int] | None) -> None:
    assert tokens_of(OFFSETS, *characters) == tokens
