import subprocess
import sys
from collections import Counter

import pytest

from bertkit.errors import UserError
from bertkit.text import vocabulary
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.vocabulary import (
    ALGORITHMS,
    RESERVED,
    VocabularyOptions,
    choose_alphabet,
    learn,
    learn_from_counts,
    measure,
)

COUNTS = Counter({"low": 20, "lower": 10, "newer": 20, "new": 7, "rare": 1})


def test_the_most_frequent_pairs_are_joined_first() -> None:
    tokens = learn_from_counts(COUNTS, VocabularyOptions(size=22))
    singles = ["a", "e", "l", "n", "o", "r", "w"]
    inside = ["##a", "##e", "##o", "##r", "##w"]
    # (l, ##o) and (##e, ##r) occur 30 times, and (##w, ##er) once it exists; (n, ##e) 27, (lo, ##w) 20 times.
    # Of two equally frequent pairs the one with the lower ids is joined.
    assert tokens == [*RESERVED, *singles, *inside, "lo", "##er", "##wer", "ne", "low"]


def test_a_frequency_ends_it_before_the_size() -> None:
    assert len(learn_from_counts(COUNTS, VocabularyOptions(size=99, min_frequency=20))) < 27
    assert "rare" in learn_from_counts(COUNTS, VocabularyOptions(size=99, min_frequency=1))
    assert "rare" not in learn_from_counts(COUNTS, VocabularyOptions(size=99))


def test_runs_agree_to_the_last_token() -> None:
    # Each process has hash tables of its own, in Python and in Rust; many pairs here are equally frequent.
    program = (
        "from bertkit.text.vocabulary import VocabularyOptions, learn;"
        "words = [a + b + c + d for a in 'abcdefg' for b in 'hijkl' for c in 'mnopq' for d in 'rst'];"
        "print(learn([' '.join(words)] * 3, VocabularyOptions(size=99)))"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        for _ in range(3)
    }
    assert len(outputs) == 1
    assert outputs.pop().count(b"##") > 13


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_gives_a_vocabulary_that_knows_the_text(algorithm: str) -> None:
    lines = ["The cats saw the dogs.", "A cat sees dogs, and 13 dogs see the cat!"] * 13
    tokens = learn(lines, VocabularyOptions(size=99, algorithm=algorithm))
    assert tuple(tokens[:5]) == RESERVED
    assert len(set(tokens)) == len(tokens) <= 99
    tokenizer = Tokenizer.from_vocabulary(tokens)
    assert all(tokenizer.unk_id not in ids for ids in tokenizer.encode_batch(lines))
    assert "cat" in tokens


def test_case_and_reserved_tokens() -> None:
    reserved = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]"]
    tokens = learn(["Été été"] * 13, VocabularyOptions(size=99, lowercase=False, reserved=reserved))
    assert tokens[:6] == reserved
    assert "Été" in tokens
    assert "Été" in learn(["Été"] * 13, VocabularyOptions(size=99, algorithm="topdown", lowercase=False))
    assert "ete" in learn(["Été"] * 13, VocabularyOptions(size=99, algorithm="topdown"))


def test_words_with_rare_characters_are_left_out() -> None:
    tokens = learn(["aab aab aab \u0416ab"], VocabularyOptions(size=99, alphabet=2))
    assert tokens == [*RESERVED, "a", "b", "##a", "##b", "aa", "aab"]


def test_an_alphabet_is_chosen_by_what_it_covers(monkeypatch) -> None:
    monkeypatch.setattr(vocabulary, "ALPHABET", 2)
    # Of 100 characters 60 are a, 30 b, 7 c, 3 d; b and d stand inside a word, too.
    counts = {"a": 60, "ab": 0, "b": 20, "cb": 7, "d": 0, "bd": 3}
    options = {"size": 99, "reserved": RESERVED}

    def kept(**more: object) -> str:
        found = choose_alphabet(counts, VocabularyOptions(**{**options, **more}), longest=99)
        assert found.found == 4
        return "".join(sorted(found.kept))

    assert kept() == kept(alphabet_coverage=1.0) == "abcd"
    assert kept(alphabet_coverage=0.97) == "abc"
    assert kept(alphabet_coverage=0.1) == "ab"
    assert kept(alphabet=1, alphabet_coverage=1.0) == "a"
    # Five reserved tokens, a, b, ##b and c leave no room for d and ##d.
    assert kept(size=9) == "abc"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"algorithm": "topdwon"}, "Did you mean 'topdown'"),
        ({"reserved": ["[PAD]", "[CLS]"]}, r"lack \[UNK\], \[SEP\], \[MASK\]"),
        ({"reserved": [*RESERVED, "x", "x"]}, "'x' is reserved twice"),
        ({"reserved": [*RESERVED, "a b"]}, "'a b' is empty or holds a space"),
        ({"size": 7}, "A vocabulary of 7 tokens has no room"),
    ],
)
def test_what_cannot_be_asked_for(options, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        learn_from_counts(COUNTS, VocabularyOptions(**{"size": 99, **options}))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_words(algorithm: str) -> None:
    with pytest.raises(UserError, match="no word in the text"):
        learn(["", " \n\ufffd"], VocabularyOptions(size=99, algorithm=algorithm))


def test_measure() -> None:
    tokenizer = Tokenizer.from_vocabulary([*RESERVED, "a", "##b"])
    coverage = measure(tokenizer, {"a": 5, "ab": 3, "abb": 1, "c": 1})
    assert coverage.words == 10
    assert coverage.fertility == pytest.approx((5 + 2 * 3 + 3 + 1) / 10)
    assert coverage.unknown == pytest.approx(0.1)
