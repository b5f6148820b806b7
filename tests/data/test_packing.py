import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.data.packed import pack
from bertkit.data.packing import encode_texts, longest_first
from bertkit.errors import UserError
from bertkit.text.tokenizer import SPECIALS, Tokenizer

PAD, UNK, CLS, SEP = range(4)
tokenizer = Tokenizer.from_vocabulary([*SPECIALS, "a", "b", "c", "d"])
A, B, C, D = range(5, 9)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(2, 50))
def test_longest_first_is_the_loop_of_bert(first: int, second: int, room: int) -> None:
    a, b = first, second
    while a + b > room:
        if a > b:
            a -= 1
        else:
            b -= 1
    assert longest_first(first, second, room) == (a, b)


def test_one_text() -> None:
    sequences = encode_texts(tokenizer, ["a b c", "", "a x"], max_length=4)
    assert sequences.ids.tolist() == [CLS, A, B, SEP, CLS, SEP, CLS, A, UNK, SEP]
    assert sequences.starts.tolist() == [0, 4, 6, 10]
    assert sequences.second.tolist() == [4, 2, 4]
    assert sequences.truncated == 1


def test_two_texts_and_their_segments() -> None:
    sequences = encode_texts(tokenizer, ["a b c", "a", "b"], ["d", "a b c d", ""], max_length=6)
    assert sequences.ids.tolist() == [
        *[CLS, A, B, SEP, D, SEP],
        *[CLS, A, SEP, A, B, SEP],
        *[CLS, B, SEP, SEP],
    ]
    assert sequences.second.tolist() == [4, 3, 3]
    assert sequences.truncated == 2
    assert pack(sequences, [2, 1]).segments_T.tolist() == [0, 0, 0, 1, 0, 0, 0, 1, 1, 1]


def test_visible_pads() -> None:
    sequences = encode_texts(tokenizer, ["a", "a b c d"], max_length=5, pad_to=4)
    assert sequences.ids.tolist() == [CLS, A, SEP, PAD, CLS, A, B, C, SEP]
    assert sequences.second.tolist() == [4, 5]
    pair = encode_texts(tokenizer, ["a"], ["b"], max_length=7, pad_to=7)
    assert pair.ids.tolist() == [CLS, A, SEP, B, SEP, PAD, PAD]
    assert pair.second.tolist() == [3]


def test_no_texts() -> None:
    assert len(encode_texts(tokenizer, [], max_length=3)) == 0


@pytest.mark.parametrize(
    ("second", "options", "sentence"),
    [
        (None, {"max_length": 2}, "must be at least 3"),
        (["b"], {"max_length": 4}, "must be at least 5"),
        (None, {"max_length": 7, "pad_to": 8}, "pad_to 8 is beyond"),
    ],
)
def test_lengths_that_cannot_be(second, options, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        encode_texts(tokenizer, ["a"], second, **options)


def test_texts_without_partners_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="1 first texts, but 2"):
        encode_texts(tokenizer, ["a"], ["b", "c"], max_length=9)


def test_a_line_of_100_000_words_takes_time_in_proportion() -> None:
    def seconds(words: int) -> float:
        start = time.perf_counter()
        sequences = encode_texts(tokenizer, ["a b c d " * (words // 4)], max_length=128)
        assert sequences.ids.tolist() == [CLS, *[A, B, C, D] * 31, A, B, SEP]
        assert sequences.truncated == 1
        return time.perf_counter() - start

    assert seconds(100_000) < 30 * min(seconds(10_000) for _ in range(3)) + 1.0
