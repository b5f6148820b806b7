from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from bertkit.errors import UserError
from bertkit.text import words
from bertkit.text.parts import encodable
from bertkit.text.vocabulary import VocabularyOptions, check_room, select
from bertkit.text.vocabulary_files import SPECIALS, make_normaliser
from bertkit.text.words import WordCounter, fold_case


def count(*texts: str, **options: bool) -> Counter[str]:
    counter = WordCounter(**options)
    for text in texts:
        counter.add(text)
    return counter.counts()


@given(st.lists(st.text(st.characters() | st.sampled_from(" \n\t\u0301.,aÉ\u4e1c"), max_size=20), max_size=4))
def test_counts_are_those_of_the_whole_text(texts: list[str]) -> None:
    normaliser = make_normaliser(lowercase=True, strip_accents=True, split_cjk=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    whole = Counter(
        word
        for text in texts
        for word, _ in splitter.pre_tokenize_str(normaliser.normalize_str(encodable(text)))
    )
    assert count(*texts) == whole


def test_options_clean_as_the_tokenizer_does() -> None:
    assert count("Été, ÉTÉ!\nété") == {"ete": 3, ",": 1, "!": 1}
    assert count("Été", lowercase=False) == {"Été": 1}
    assert count("Été", strip_accents=False) == {"été": 1}
    assert count("a东") == {"a": 1, "东": 1}
    assert count("a东", split_cjk=False) == {"a东": 1}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "MOST_CHUNKS", 3)
    monkeypatch.setattr(words, "MOST_WORDS", 2)
    assert count("a a b b c d", "a b") == {"a": 3, "b": 3}


def test_counting_goes_on_after_a_look() -> None:
    counter = WordCounter()
    counter.add("a b")
    assert counter.counts() == {"a": 1, "b": 1}
    counter.add("a")
    assert counter.counts() == {"a": 2, "b": 1}


def test_select_takes_the_most_frequent_first() -> None:
    counts = {"ab": 1, "ba": 7, "x": 2, "reserved": 99, "a" * 14: 99}
    options = VocabularyOptions(size=99, reserved=[*SPECIALS, "reserved"], alphabet=2)
    assert select(counts, options, longest=13) == [("ba", 7), ("ab", 1)]


def test_fold_case_goes_further_than_lower_case() -> None:
    assert fold_case({"straße": 2, "strasse": 5, "…": 1, "\u00b4": 3}) == {
        "strasse": 7,
        "...": 1,
        "\u0301": 3,
    }


def test_check_room() -> None:
    check_room(7, 7)
    with pytest.raises(UserError, match=r"of 7 tokens has no room .* which are 13"):
        check_room(7, 13)
