"""The words that tell a label are found, with how far each goes alone."""

import math

import numpy as np
import pytest

from bertkit.tasks.telling import Telling, telling_words


def test_a_word_that_is_the_label() -> None:
    # Ten rows of each label; "won" is in eight of sport and in one of news, "the" in all.
    texts = [f"the team won {place}" for place in range(8)] + ["the team", "the match"]
    texts += [f"the council met {place}" for place in range(9)] + ["the council won"]
    labels = [["sport"]] * 10 + [["news"]] * 10
    found = telling_words([texts], labels, most=2)
    # Of the 2 x 2 table 8, 1, 2, 9, with a half on each.
    ratio = math.log(8.5 * 9.5 / (1.5 * 2.5))
    error = math.sqrt(1 / 8.5 + 1 / 1.5 + 1 / 2.5 + 1 / 9.5)
    assert found[-1] == Telling("sport", "won", 0, 9, 8 / 9, 0.8, pytest.approx(ratio / error))
    assert [(each.label, each.word) for each in found] == [
        ("news", "council"),
        ("news", "met"),
        ("sport", "team"),
        ("sport", "won"),
    ]
    assert (found[0].precision, found[0].recall, found[0].rows) == (1.0, 1.0, 10)
    assert "the" not in {each.word for each in telling_words([texts], labels, most=99)}


def test_second_texts_have_words_of_their_own_and_rows_may_have_several_labels() -> None:
    first = ["nobody sleeps"] * 12
    second = ["nobody sleeps"] * 6 + ["a man sleeps"] * 6
    labels = [["no", "seen"]] * 6 + [["yes", "seen"]] * 5 + [[]]
    found = {(each.label, each.word): each for each in telling_words([first, second], labels)}
    assert (found["no", "nobody"].text, found["no", "nobody"].precision) == (1, 1.0)
    assert found["yes", "man"].recall == 1.0
    assert {each.text for each in found.values()} == {1}


def test_nothing_tells_where_there_is_one_label_or_no_word_often_enough() -> None:
    assert telling_words([["a b", "c d"]], [["x"], ["x"]]) == []
    assert telling_words([["a b", "c d"]], [["x"], ["y"]]) == []
    assert telling_words([["", ""]], [["x"], ["y"]]) == []


def test_many_labels_need_no_table_of_all_words_and_labels() -> None:
    rng = np.random.default_rng(0)
    texts = [f"w{row % 2_000} x{rng.integers(50)}" for row in range(20_000)]
    labels = [[f"label {row % 2_000}"] for row in range(20_000)]
    found = telling_words([texts], labels, most=1)
    assert len(found) == 2_000
    assert all(each.word == f"w{each.label.split()[1]}" and each.recall == 1 for each in found)
