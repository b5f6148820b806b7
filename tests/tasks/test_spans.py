"""Spans of a text: the best of one window, of all, and the tokens that they are of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.data.packing import encode_texts
from bertkit.tasks.spans import Places, Span, best_spans, merged, tokens_of
from bertkit.text.tokenizer import SPECIALS, Tokenizer

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


def test_places_and_targets_are_those_of_each_window() -> None:
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *"abcdefgh?", "##b"])
    questions, texts = ["a ?", "?"], ["a  bc d ab f g h", "\tb"]
    sequences = encode_texts(
        tokenizer, questions, texts, max_length=9, window=9, stride=2, windows_of_second=True
    )
    found = list(tokenizer.places(texts))
    places = Places.of(sequences, np.concatenate(found), np.array([[0, 8], [8, 9]]))
    # Windows of 4 of the 8 tokens a [UNK] d a ##b f g h.
    assert places.rows.tolist() == [0, 0, 0, 0, 0, 1]
    assert places.offsets.tolist() == [0, 1, 2, 3, 4, 0]
    assert places.of_window(3).tolist() == [[8, 9], [9, 10], [11, 12], [13, 14]]
    assert [texts[1][a:b] for a, b in places.of_window(5)] == ["b"]
    assert places.targets(np.array([[8, 10], [1, 2]])).tolist() == [
        [0, 0],
        [6, 7],
        [5, 6],
        [4, 5],
        [0, 0],
        [3, 3],
    ]
    assert places.targets(np.array([[1, 3], [-1, -1]])).tolist() == [[0, 0]] * 6
    # A span that begins or ends in spaces is of the tokens in it.
    assert places.targets(np.array([[2, 5], [0, 2]])).tolist() == [
        [5, 5],
        [4, 4],
        [0, 0],
        [0, 0],
        [0, 0],
        [3, 3],
    ]


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
