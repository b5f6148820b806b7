"""Near copies are found, all of them, and only they."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.text.near import NEAR, Near, near_pairs, plain, shingles

SENTENCE = "the committee met on tuesday to discuss the new budget for the northern schools"


def jaccard(one: str, other: str) -> float:
    """By sets of the bytes themselves."""
    left, right = (
        {raw[place : place + 5] for place in range(len(raw) - 4)}
        for raw in (plain(text).encode() for text in (one, other))
    )
    return len(left & right) / len(left | right)


def test_what_makes_no_difference() -> None:
    assert plain("  Hello,\n WORLD! ") == "hello world"
    assert plain(":-)  :-(") == ":-) :-("
    # Runs of five bytes: h-e-l-l-o, e-l-l-o-_, l-l-o-_-w; of a shorter text one.
    assert len(shingles("Hello w!")) == 3
    assert [code.to_bytes(5, "big") for code in shingles("Hi").tolist()] == [b"hi\0\0\0"]
    # Of three bytes each.
    assert len(shingles("中文")) == 2


def test_copies_but_for_case_and_signs_are_found() -> None:
    rows = [(SENTENCE,), ("something else altogether, with no word of it",), (SENTENCE.upper() + "!",)]
    assert near_pairs(rows) == [Near(0, 2, 1.0)]


@given(st.integers(0, 2**32 - 1))
def test_a_changed_word_is_told_with_the_resemblance_of_the_shingles(seed: int) -> None:
    words = SENTENCE.split()
    words[random.Random(seed).randrange(len(words))] = "x"
    changed = " ".join(words)
    alike = jaccard(SENTENCE, changed)
    found = near_pairs([(SENTENCE,), (changed,)])
    assert found == ([Near(0, 1, pytest.approx(alike))] if alike >= NEAR else [])


def test_both_texts_of_a_pair_must_be_alike() -> None:
    other = "a man sleeps"
    rows = [(SENTENCE, other), (SENTENCE, "nobody sleeps"), (SENTENCE + " today", other)]
    assert [(pair.first, pair.second) for pair in near_pairs(rows)] == [(0, 2)]
    # The same texts in the other order are another pair.
    assert near_pairs([(SENTENCE, other), (other, SENTENCE)]) == []
    assert near_pairs([(SENTENCE, other), (SENTENCE, other, other)]) == []


def test_a_row_that_is_scored_is_told_beside_one_that_is_learned_from() -> None:
    # All of one bucket: each scored row, whatever stands between, with a row of train.
    rows = [(f"{SENTENCE} {place}",) for place in range(40)]
    found = near_pairs(rows, learned=10)
    assert {pair.second for pair in found if pair.second >= 10 and pair.first < 10} == set(range(10, 40))
    # And every row but the first with one before it, without all the 780 pairs.
    assert {pair.second for pair in found} == set(range(1, 40))
    assert len(found) < 300


def test_planted_copies_among_many_are_found() -> None:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(2_000)]
    texts = [" ".join(rng.choices(words, k=25)) for _ in range(1_500)]
    copies = [f"{texts[place]} {rng.choice(words)}" for place in range(100)]
    found = near_pairs([(text,) for text in texts + copies])
    assert [(pair.first, pair.second) for pair in found] == [(place, 1_500 + place) for place in range(100)]


def test_few_and_empty_rows() -> None:
    assert near_pairs([]) == []
    assert near_pairs([("alone",)]) == []
    assert near_pairs([("",), ("a",)]) == []
    assert near_pairs([("half \ud800",), ("other",)]) == []
