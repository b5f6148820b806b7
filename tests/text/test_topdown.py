from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.errors import UserError
from bertkit.text.vocabulary import VocabularyOptions, _cuts, _learn_with_threshold, learn_topdown

RESERVED = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")


def as_published(words: list[tuple[str, int]], characters: list[str], threshold: int) -> list[str]:
    """The procedure as tensorflow-text's guide tells it, substring by substring and in no hurry."""
    tokens: dict[str, int] = {}
    for turn in range(4):
        counts: Counter[tuple[bool, str]] = Counter()  # (inside a word, substring)
        for word, count in words:
            starts = [0, *_cuts(word, tokens)] if turn else range(len(word))
            for start in starts:
                for end in range(start + 1, len(word) + 1):
                    counts[start > 0, word[start:end]] += count
        tokens = {}
        for inside, token in sorted(counts, key=lambda key: -len(key[1])):
            count = counts[inside, token]
            if count >= threshold:
                tokens["##" * inside + token] = count
            for end in range(1, len(token)):
                counts[inside, token[:end]] -= count
        for character in characters:
            tokens.setdefault(character, 1)
            tokens.setdefault(f"##{character}", 1)
    return sorted(tokens, key=lambda token: (-tokens[token], token))


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=9), st.integers(1, 30), min_size=1, max_size=20),
    st.integers(1, 40),
)
def test_counting_rests_is_the_published_procedure(counts: dict[str, int], threshold: int) -> None:
    words = list(counts.items())
    characters = sorted(set("".join(counts)))
    assert _learn_with_threshold(words, characters, threshold) == as_published(words, characters, threshold)


def test_a_vocabulary_by_hand() -> None:
    # First every rest of a word is counted: at threshold 15 "##er" and "##wer" occur 10 + 20 times. But then
    # "newer" is a token and no longer cut, which leaves the ends of "lower" below the threshold, and of 27
    # tokens asked for there are 19. So the search goes down, to the lowest threshold, where "lower" is found.
    counts = {"low": 20, "lower": 10, "newer": 20, "new": 7}
    tokens = learn_topdown(counts, VocabularyOptions(size=27, reserved=RESERVED, alphabet=99), 10)
    singles = ["e", "l", "n", "o", "r", "w"]
    inside = [f"##{character}" for character in singles]
    assert tokens == [*RESERVED, *singles, "low", "newer", "lower", *inside]


def test_the_result_is_cut_at_the_size() -> None:
    counts = {"abc": 50, "abd": 40, "b": 30}
    tokens = learn_topdown(counts, VocabularyOptions(size=11, reserved=RESERVED, alphabet=99), 10)
    assert tokens == [*RESERVED, "a", "b", "c", "d", "abc", "##a"]


def test_rare_characters_and_reserved_words_are_left_out() -> None:
    counts = {"aa": 50, "ab": 40, "az": 1, "cls": 60}
    tokens = learn_topdown(counts, VocabularyOptions(size=99, reserved=[*RESERVED, "cls"], alphabet=2), 10)
    assert tokens == [*RESERVED, "cls", "a", "b", "aa", "ab", "##a", "##b"]


def test_no_room_for_the_characters() -> None:
    with pytest.raises(UserError, match="no room for the reserved tokens and the single characters"):
        learn_topdown({"abc": 50}, VocabularyOptions(size=7, reserved=RESERVED, alphabet=99), 10)
