"""Answers that need no model: sentences, and the span most like a question."""

import math

import pytest

from bertkit.tasks.likest import WordWeights, sentences_of

TEXT = "Ann was born in Rome. Bob moved to New York in 1999, at 3.5 years old! Carl stayed"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            TEXT,
            ["Ann was born in Rome.", " Bob moved to New York in 1999, at 3.5 years old!", " Carl stayed"],
        ),
        ("他生于罗马。她呢？没有", ["他生于罗马。", "她呢？", "没有"]),
        ("A title\n\nU.S. cars... Yes?!", ["A title\n\n", "U.S.", " cars...", " Yes?!"]),
        ("...", ["..."]),
    ],
)
def test_sentences_end_at_marks_and_lines(text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in sentences_of(text)] == found


def test_a_word_of_all_texts_weighs_nothing() -> None:
    weights = WordWeights(["the cat", "The dog", "the the cow"])
    assert (weights.of("the"), weights.of("cat"), weights.of("?")) == (0.0, math.log(2), math.log(4))


@pytest.mark.parametrize(
    ("question", "answer", "likeness"),
    [
        ("Where was Ann born?", "in Rome", 3 / 4),
        ("Bob moved to ...", "New York in 1999, at 3.5 years old", 1.0),
        (
            "old years 5 3 at 1999 in York New to moved Bob",
            "Bob moved to New York in 1999, at 3.5 years old",
            1.0,
        ),
        ("Who?", "Ann was born in Rome", 0.0),
        ("?", "Ann was born in Rome", 0.0),
    ],
)
def test_the_span_is_of_the_likest_sentence_and_beside_its_words(
    question: str, answer: str, likeness: float
) -> None:
    weights = WordWeights(["nothing of this", "nor of that"])  # So all words weigh the same.
    found = weights.likest_span(question, TEXT)
    assert TEXT[found.start : found.end] == answer
    assert found.likeness == pytest.approx(likeness)


def test_a_text_without_words_is_its_own_span() -> None:
    found = WordWeights([]).likest_span("Why?", " ?! ")
    assert (found.start, found.end, found.likeness) == (0, 3, 0.0)
