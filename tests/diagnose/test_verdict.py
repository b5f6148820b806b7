"""What a fine-tuning came to: one conclusion, whoever asks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bertkit.diagnose.answers import answers_of
from bertkit.diagnose.verdict import conclude, sentence_on, verdict_on
from bertkit.recipe import Recipe
from bertkit.runs.history import Outcome, RunHistory, Scores, Track
from bertkit.tasks.classify import CLASSIFY

PAIR = ("learned", "learned")


@pytest.mark.parametrize(
    ("score", "low", "high", "majority", "ngram", "statuses", "level", "lead"),
    [
        (0.33, 0.25, 0.41, 0.0, 0.157, ["learned"], "good", "It learned."),
        (0.33, 0.25, 0.41, 0.0, 0.157, [], "good", "It learned."),
        (0.33, 0.25, 0.41, 0.0, None, ["learned"], "good", "It learned."),
        (0.2, 0.1, 0.3, 0.0, 0.157, PAIR, "open", "It learned; whether more than an n-gram model is open."),
        (0.1, 0.05, 0.14, 0.0, 0.157, PAIR, "open", "It learned, but less than an n-gram model."),
        (0.3, 0.2, 0.4, 0.0, 0.1, ["learned", "collapsed"], "open", "It learned, but not from every seed."),
        (0.09, -0.02, 0.2, 0.0, 0.15, PAIR, "open", "Nothing shows that it learned."),
        (0.09, -0.02, 0.2, 0.0, 0.15, [], "open", "Nothing shows that it learned."),
        (0.0, -0.1, 0.1, 0.0, 0.15, ["not learned"], "bad", "Nothing shows that it learned."),
        (0.0, 0.0, 0.0, 0.0, 0.15, ["collapsed", "collapsed"], "bad", "It collapsed."),
        (0.4, 0.3, 0.5, None, None, ["not learned"], "open", "It is done."),
    ],
)
def test_the_conclusion_goes_by_the_interval(
    score: float,
    low: float,
    high: float,
    majority: float | None,
    ngram: float | None,
    statuses: list[str],
    level: str,
    lead: str,
) -> None:
    beside = {"majority": majority, "ngram": ngram}
    known = {name: each for name, each in beside.items() if each is not None}
    scores = Scores.of(CLASSIFY, "mcc", score, (low, high), 99, known)
    found = conclude(scores, statuses)
    assert (found.level, found.lead) == (level, lead)


@pytest.mark.parametrize(
    ("low", "high", "statuses"),
    [(-0.02, 0.2, PAIR), (0.03, 0.2, PAIR), (0.16, 0.2, PAIR), (0.01, 0.1, PAIR), (0.2, 0.3, ("collapsed",))],
)
def test_the_doctor_says_what_the_run_page_says(low: float, high: float, statuses: tuple[str, ...]) -> None:
    score = (low + high) / 2
    result: dict[str, Any] = {"deviation": 0.01, "seeds": [{"status": status} for status in statuses]}
    seeds = [Track(i, outcome=Outcome(score, s, 1.0, 9.0)) for i, s in enumerate(statuses)]
    scores = Scores.of(CLASSIFY, "mcc", score, (low, high), 99, {"majority": 0.0, "ngram": 0.15})
    run = RunHistory(Recipe(), seeds, scores, 0.6)
    given = verdict_on(run, result)
    assert sentence_on(run).startswith(given.lead.removesuffix(".") + ": MCC ")
    (held,) = [a.words for a in answers_of(run) if a.question == "Does that hold for other rows?"]
    assert held.startswith("Nothing shows it") == (given.level != "good" and low <= 0)


def test_without_a_majority_nothing_is_concluded_of_a_majority() -> None:
    run = RunHistory(Recipe(), (), Scores("f1", 0.5, 0.4, 0.6, 9))
    assert sentence_on(run) == "It is done: F1 0.500 [0.400, 0.600] on 9 dev rows."
    assert not [a for a in answers_of(run) if a.question == "Does that hold for other rows?"]
    assert "learned" in sentence_on(
        replace(run, scores=Scores.of(CLASSIFY, "f1", 0.5, (0.4, 0.6), 9, {"majority": 0.3}))
    )
