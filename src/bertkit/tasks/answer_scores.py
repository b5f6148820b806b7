"""What answers to questions about texts are scored by, and from which probability on there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bertkit.tasks.calibration import FOLDS, folds
from bertkit.tasks.examples import Examples
from bertkit.tasks.kind import Names, Outputs, Predictions
from bertkit.tasks.metrics import Adds, FloatArray, Metric, ratio
from bertkit.tasks.squad import answer_scores, best_threshold, character_f1

ANSWER, NO_ANSWER = "answer", "no answer"
"""What rows may ask for: a stretch of the text, or that there is none."""
NONE = -1
"""Both ends of an answer that there is not."""


def answer_texts(rows: Examples, predictions: Predictions) -> list[str]:
    """The stretches of their texts that answers are, from where to where: [N, 2]; "" where there is none."""
    spans = zip(rows.pairs or [], predictions.tolist(), strict=True)
    return ["" if start == NONE else text[start:end] for text, (start, end) in spans]


def answer_adds(rows: Examples, predictions: Predictions, names: Names) -> Adds:
    """Of each question one, the three scores of the answer, and the same again where it has an answer."""
    found = np.zeros((len(rows), 8))
    for row, (text, right) in enumerate(
        zip(answer_texts(rows, predictions), rows.more["answers"], strict=True)
    ):
        f1, exact = answer_scores(text, right, may_be_none=NO_ANSWER in names)
        scores = 1.0, f1, exact, character_f1(text, right)
        found[row] = *scores, *(scores if right else (0.0,) * len(scores))
    return found


def _mean(place: int, *, answered: bool | None = None) -> Callable[[FloatArray], FloatArray]:
    """The mean of a score over all questions, those with an answer, or those without."""

    def score(sums: FloatArray) -> FloatArray:
        every, some = sums[..., :4], sums[..., 4:]
        of = every if answered is None else some if answered else every - some
        return ratio(of[..., place], of[..., 0])

    return score


ALWAYS = (
    Metric("answer_f1", "F1", _mean(1)),
    Metric("exact_match", "EM", _mean(2)),
    Metric("character_f1", "character F1", _mean(3)),
)
# Titles as in the official script.
MAY_BE_NONE = (
    Metric("has_answer_f1", "HasAns F1", _mean(1, answered=True)),
    Metric("has_answer_exact", "HasAns EM", _mean(2, answered=True)),
    Metric("no_answer_exact", "NoAns EM", _mean(2, answered=False)),
)
ANSWER_METRICS = ALWAYS + MAY_BE_NONE


def metrics_of_answers(names: Names, positive: str) -> tuple[Metric, ...]:
    """Those of questions that may be without an answer, or that all have one."""
    return ANSWER_METRICS if NO_ANSWER in names else ALWAYS


def null_probabilities(outputs: Outputs) -> FloatArray:
    """Of there being no answer, beside the best answer, [N]; of outputs as the kind keeps them.

    The log of its odds is the difference of their scores: `scores_diff` of google-research/bert's
    run_squad.py, whose order is the same.
    """
    with np.errstate(over="ignore"):
        found: FloatArray = 1 / (1 + np.exp(outputs[:, 1, 2] - outputs[:, 0, 2]))
    return found


def fitted_threshold(rows: Examples, outputs: Outputs) -> tuple[float, FloatArray]:
    """The probability of no answer above which to give none is best for F1, for all rows and for each.

    Args:
        rows: N questions with their answers.
        outputs: as the kind keeps them.

    Returns:
        What is fitted on all rows; and for each row what is fitted on the other folds, [N].
    """
    spans = outputs[:, 1, :2].astype(np.int64)
    texts = answer_texts(rows, spans)
    null_N = null_probabilities(outputs)
    right: Sequence[Sequence[str]] = rows.more["answers"]
    scores_N = np.array(
        [answer_scores(text, each, may_be_none=True)[0] for text, each in zip(texts, right, strict=True)]
    )
    has_N, given_N = np.array([bool(each) for each in right]), np.array([bool(text) for text in texts])
    whole, _ = best_threshold(null_N, scores_N, has_N, given_N)
    thresholds_N = np.full(len(rows), whole)
    if len(rows) >= 2 * FOLDS:
        for inside, others in folds(len(rows)):
            some = (each[others] for each in (null_N, scores_N, has_N, given_N))
            thresholds_N[inside] = best_threshold(*some)[0]
    return whole, thresholds_N
