"""The generated language: determinism, balance, splits, minimal pairs, and that counting words is no help."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bertkit.demo import grammar
from bertkit.demo.grammar import KNOWN, LABELS, NEW, PHENOMENA, PLAIN, Sentence, generate, minimal_pairs
from bertkit.errors import UserError
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.examples import Examples, Targets

TRAIN = generate("train", 2_400)
DEV = generate("dev", 960)


def test_minimal_pairs_are_the_twins() -> None:
    found = minimal_pairs(DEV)
    assert len(found) == 480
    for pair, (good, bad) in zip(found, pairs(DEV), strict=True):
        assert pair == {"good": good.text, "bad": bad.text, "phenomenon": good.phenomenon}
    # A last one without a twin is no pair.
    assert minimal_pairs(DEV[:5]) == found[:2]


def pairs(sentences: list[Sentence]) -> list[tuple[Sentence, Sentence]]:
    return list(zip(sentences[::2], sentences[1::2], strict=True))


def words(sentence: Sentence) -> list[str]:
    return sentence.text[:-1].lower().split()


def stems(kinds: dict[str, str]) -> set[str]:
    return {form for kind in kinds.values() for verb in kind.split() for form in verb.split("/")}


def test_a_seed_says_everything() -> None:
    assert generate("dev", 50, seed=7) == generate("dev", 50, seed=7)
    assert generate("dev", 50, seed=7) != generate("dev", 50, seed=8)
    assert generate("train", 33) == TRAIN[:33]


@pytest.mark.parametrize("sentences", [TRAIN, DEV])
def test_twins_stand_side_by_side_and_labels_are_balanced(sentences: list[Sentence]) -> None:
    for good, bad in pairs(sentences):
        assert (good.label, bad.label) == (LABELS[1], LABELS[0])
        assert (good.phenomenon, good.novelty) == (bad.phenomenon, bad.novelty)
    assert set(Counter(sentence.phenomenon for sentence in sentences).values()) == {len(sentences) // 8}
    assert {sentence.phenomenon for sentence in sentences} == set(PHENOMENA)


@pytest.mark.parametrize("sentences", [TRAIN, DEV])
def test_twins_differ_in_little(sentences: list[Sentence]) -> None:
    for good, bad in pairs(sentences):
        more, fewer = Counter(words(good)) - Counter(words(bad)), Counter(words(bad)) - Counter(words(good))
        if good.phenomenon == "question order":
            assert not more
            assert not fewer
        elif good.phenomenon == "arguments":
            assert max(more.total(), fewer.total()) <= 3
        else:
            assert (more.total(), fewer.total()) == (1, 1)


def test_no_sentence_comes_twice_or_in_both_splits() -> None:
    texts = [sentence.text for sentence in [*TRAIN, *DEV, *generate("dev", 960, seed=5)[960:]]]
    assert len(set(texts)) == len(texts)
    other = {sentence.text for sentence in generate("train", 2_400, seed=1)}
    assert other.isdisjoint(sentence.text for sentence in DEV)


def test_new_words_are_in_dev_only_and_where_they_are_said_to_be() -> None:
    new = stems(NEW)
    assert new.isdisjoint(stems(KNOWN))

    def has_new(sentence: Sentence) -> bool:
        # A regular form begins with what it is made from.
        return any(word.startswith(tuple(stem.removesuffix("e") for stem in new)) for word in words(sentence))

    assert not any(map(has_new, TRAIN))
    for good, bad in pairs(DEV):
        assert (has_new(good) or has_new(bad)) == (good.novelty == "words")
    shares = Counter(sentence.novelty for sentence in DEV)
    assert shares == {"none": 480, "words": 240, "construction": 240}


def test_a_new_noun_shows_its_number_in_its_determiner() -> None:
    nouns = {noun for kind in ("person", "thing", "place") for noun in NEW[kind].split()}
    plain = set(PLAIN)
    for sentence in DEV:
        before: list[str] = []
        for word in words(sentence):
            if word.removesuffix("s") in nouns:
                # At most one adjective stands between.
                assert plain.isdisjoint(before[-1:]), sentence.text
            before.append(word)


def test_sentences_are_written_as_such() -> None:
    for sentence in [*TRAIN, *DEV]:
        assert sentence.text[0].isupper()
        assert sentence.text[-1] in ".?"
        assert "  " not in sentence.text
        assert " ." not in sentence.text
        assert "{" not in sentence.text
        assert len(words(sentence)) >= 3


def test_words_are_many() -> None:
    size = {kind: len(KNOWN[kind].split()) for kind in KNOWN}
    assert sum(size[kind] for kind in ("woman", "man", "person", "thing", "place")) >= 40
    assert sum(size[kind] for kind in ("rest", "find", "help")) >= 30


def test_counting_words_is_little_help() -> None:
    def examples(sentences: list[Sentence]) -> Examples:
        labels = np.array([LABELS.index(sentence.label) for sentence in sentences])
        return Examples(
            [s.text for s in sentences], None, Targets.single(labels), list(range(len(sentences))), Path("x")
        )

    found = CLASSIFY.scoring(("no", "yes"), "mcc").baselines(examples(TRAIN), examples(DEV))
    score = found["ngram"]["score"]
    assert score < 0.3


def test_more_than_there_is_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "PHENOMENA", {"toy": lambda words: ("a {}.", words.one("xyz"), "w")})
    with pytest.raises(UserError, match="has no 99 different train sentences"):
        generate("train", 99)


def test_plain_text_is_acceptable_has_the_new_words_and_no_dev_sentence() -> None:
    text = grammar.plain_text(2_400)
    assert text == grammar.plain_text(2_400)
    assert text != grammar.plain_text(2_400, seed=1)
    assert len(set(text)) == 2_400
    dev = {sentence.text for sentence in [*DEV, *generate("dev", 960, seed=3)]}
    assert dev.isdisjoint(text)
    # So it is for all seeds: each sentence has one split that may have it.
    assert all(grammar._split(sentence) == "train" for sentence in text)
    new = tuple(stem.removesuffix("e") for stem in stems(NEW))
    shares = [any(word.startswith(new) for word in sentence[:-1].lower().split()) for sentence in text]
    # A quarter, but for those whose new word is in the twin that is left out.
    assert 560 < sum(shares) <= 600


def test_plain_text_has_none_of_the_new_constructions(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()

    class Noting(grammar.Words):
        def __init__(self, generator, novelty) -> None:
            seen.add(novelty)
            super().__init__(generator, novelty)

    monkeypatch.setattr(grammar, "Words", Noting)
    grammar.plain_text(64)
    assert seen == {"none", "words"}


def test_more_text_than_there_is_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar, "PHENOMENA", {"toy": lambda words: ("a {}.", words.one("xyz"), "w")})
    with pytest.raises(UserError, match="has no 99 different sentences"):
        grammar.plain_text(99)
