"""What answers to questions are laid beside: one that reads no question, and one that has no model."""

from __future__ import annotations

import numpy as np

from bertkit.tasks.answer_scores import (
    NO_ANSWER,
    NONE,
    answer_adds,
    fitted_threshold,
    null_probabilities,
)
from bertkit.tasks.examples import Examples
from bertkit.tasks.kind import Baseline, Names, Outputs, Predictions
from bertkit.tasks.likest import WordWeights, sentences_of

FITTED_ON = 2_000
"""Training rows at most on which baselines learn when there is no answer."""


def _blind(train: Examples, dev: Examples, names: Names) -> Predictions:
    """The first sentence of every text, or none: what scores better on the rows to learn from."""
    found = _first_sentences(dev)
    if NO_ANSWER not in names:
        return found
    some = _some(train)
    first = _first_sentences(some)
    given, none = (answer_adds(some, each, names)[:, 1].sum() for each in (first, np.full_like(first, NONE)))
    return found if given >= none else np.full_like(found, NONE)


def _some(rows: Examples) -> Examples:
    """At most `FITTED_ON` of them, spread evenly."""
    return rows.only(np.unique(np.linspace(0, len(rows) - 1, FITTED_ON).astype(int)).tolist())


def _first_sentences(rows: Examples) -> Predictions:
    texts = rows.pairs or []
    found = [_stripped(text, *next(iter(sentences_of(text)), (0, len(text)))) for text in texts]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def _likest(train: Examples, dev: Examples, names: Names) -> Predictions:
    """See `WordWeights.likest_span`; a question too unlike its text has no answer, as train tells."""
    weights = WordWeights(dict.fromkeys(train.pairs or []))

    def outputs_of(rows: Examples) -> Outputs:
        found = np.full((len(rows), 2, 3), 0.0)
        for row, (question, text) in enumerate(zip(rows.texts, rows.pairs or [], strict=True)):
            likest = weights.likest_span(question, text)
            found[row, 1] = likest.start, likest.end, likest.likeness
        return found

    outputs = outputs_of(dev)
    spans: Predictions = outputs[:, 1, :2].astype(np.int64)
    if NO_ANSWER in names:
        some = _some(train)
        threshold, _ = fitted_threshold(some, outputs_of(some))
        spans[null_probabilities(outputs) > threshold] = NONE
    return spans


ANSWER_BASELINES = (
    Baseline(
        "blind",
        "blind",
        "baseline without questions",
        "answering without the question (with the first sentence, or that there is none)",
        _blind,
    ),
    Baseline(
        "likest",
        "likest sentence",
        "likest sentence's span",
        "the longest span of the sentence that is most like the question",
        _likest,
    ),
)
