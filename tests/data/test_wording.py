"""Words to tokens: which token stands for which word, in one window or in many, with context or without."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.config.reading import Reading
from bertkit.data.conll import TaggedSentence
from bertkit.data.wording import NO_WORD, Worded, encode_words
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENIZER = Tokenizer.from_vocabulary([*SPECIALS, "a", "b", "##c", "##d", "e", "."])
WORDS = {"a": ["a"], "bcd": ["b", "##c", "##d"], "e.": ["e", "."], "\u200b": ["[UNK]"], "zz": ["[UNK]"]}


def sentence(*words: str, before: str = "", after: str = "") -> TaggedSentence:
    return TaggedSentence(1, words, before=tuple(before.split()), after=tuple(after.split()))


def told(found: Worded) -> list[tuple[str, list[int]]]:
    """The tokens of each sequence, and the places of those that stand for a word, with the word's number."""
    ids, starts = found.sequences.ids, found.sequences.starts
    parts = [slice(*pair) for pair in pairwise(starts)]
    return [
        (" ".join(TOKENIZER.vocabulary[token] for token in ids[part]), found.words_P[part].tolist())
        for part in parts
    ]


def test_the_first_token_of_a_word_stands_for_it_and_every_word_has_one() -> None:
    found = encode_words(
        TOKENIZER, [sentence("a", "bcd", "\u200b", "e.", "zz"), sentence("a")], Reading(max_length=32)
    )
    assert told(found) == [
        ("[CLS] a b ##c ##d [UNK] e . [UNK] [SEP]", [-1, 0, 1, -1, -1, 2, 3, -1, 4, -1]),
        ("[CLS] a [SEP]", [-1, 0, -1]),
    ]
    assert found.starts.tolist() == [0, 5, 6]
    assert found.sequences.truncated == 0


def test_a_long_sentence_is_read_in_windows_and_each_word_is_answered_for_once() -> None:
    found = encode_words(TOKENIZER, [sentence("a", "bcd", "a", "a", "e")], Reading(max_length=6))
    assert told(found) == [
        ("[CLS] a b ##c ##d [SEP]", [-1, 0, 1, -1, -1, -1]),
        ("[CLS] ##d a a e [SEP]", [-1, -1, 2, 3, 4, -1]),
    ]


def test_context_fills_the_room_that_the_words_leave() -> None:
    one = sentence("a", "a", before="e e bcd", after="e. e")
    cases = {
        20: "[CLS] e e b ##c ##d a a e . e [SEP]",
        8: "[CLS] ##c ##d a a e . [SEP]",
        7: "[CLS] ##d a a e . [SEP]",
        4: "[CLS] a a [SEP]",
    }
    for length, tokens in cases.items():
        ((found, words),) = told(encode_words(TOKENIZER, [one], Reading(max_length=length)))
        assert found == tokens
        assert [tokens.split()[place] for place, word in enumerate(words) if word != NO_WORD] == ["a", "a"]


@pytest.mark.parametrize("stride", [0, 1, 3])
def test_every_word_of_any_sentences_has_one_token(stride: int) -> None:
    words = st.lists(st.sampled_from([*WORDS]), min_size=1, max_size=25)

    @given(
        st.lists(st.tuples(words, words, words), min_size=1, max_size=4), st.integers(8 if stride else 3, 12)
    )
    def check(parts: list[tuple[list[str], ...]], length: int) -> None:
        sentences = [sentence(*middle, before=" ".join(a), after=" ".join(b)) for a, middle, b in parts]
        window = length if stride else 0
        reading = Reading(max_length=length, window=window, stride=min(stride, length - 3))
        found = encode_words(TOKENIZER, sentences, reading)
        assert found.sequences.sizes.max() <= length
        windows = found.sequences.windows
        assert windows is not None
        for row, each in enumerate(sentences):
            places = found.sequences.places(windows.windows_of(np.array([row])))
            its = found.words_P[places]
            assert sorted(its[its != NO_WORD].tolist()) == list(range(len(each.words)))
            tokens = [TOKENIZER.vocabulary[token] for token in found.sequences.ids[places[its != NO_WORD]]]
            assert tokens == [WORDS[each.words[word]][0] for word in its[its != NO_WORD]]

    check()
