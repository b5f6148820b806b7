"""SQuAD's scores of an answer against the right ones, as its official scripts have them.

Sources: evaluate-v1.1.py (Rajpurkar et al. 2016) and evaluate-v2.0.py (Rajpurkar et al. 2018). They differ
where an answer has no word left, and in what a question without answer may be answered with.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from bertkit.tasks.metrics import FloatArray

_DELETED = str.maketrans("", "", string.punctuation)
_IDEOGRAPH = re.compile("[\u4e00-\u9fa5]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalised(text: str) -> str:
    """A text in lower case without ASCII's punctuation, then without articles, its words one space apart.

    In that order: "U.S.A" is "usa".
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_DELETED)).split())


def answer_scores(answer: str, right: Sequence[str], *, may_be_none: bool) -> tuple[float, float]:
    """F1 and exact match of an answer, each with the best of the right ones.

    Args:
        answer: "" says that there is none.
        right: the right ones; empty where there is none.
        may_be_none: whether questions may be without an answer, as in version 2.0. Then right answers of
            which nothing is left are none, and to say so has an F1 of 1. Else it is 0 where no word is the
            same, although what nothing is left of is an exact match of its like.
    """
    given = normalised(answer)
    known = [normalised(each) for each in right]
    if may_be_none:
        known = [each for each in known if each] or [""]
    f1 = max((_f1(given.split(), each.split(), float(may_be_none)) for each in known), default=0.0)
    return f1, float(given in known)


def _f1(given: list[str], right: list[str], of_nothing: float) -> float:
    """Of the words that both have, as often as both have them."""
    if not given or not right:
        return of_nothing if given == right else 0.0
    same = (Counter(given) & Counter(right)).total()
    if not same:
        return 0.0
    precision, recall = same / len(given), same / len(right)
    return 2 * precision * recall / (precision + recall)


def character_f1(answer: str, right: Sequence[str]) -> float:
    """F1 of an answer whose ideographs are words, with the best of the right ones; of none beside none 1.

    It is what Chinese asks for, which has no spaces: that of MLQA's script (Lewis et al. 2020) there, which
    deletes the punctuation marks of all scripts.
    """
    given = _characters(answer)
    return max(_f1(given, _characters(each), 1.0) for each in right or [""])


def _characters(text: str) -> list[str]:
    kept = "".join(letter for letter in text.lower() if unicodedata.category(letter)[0] != "P")
    return _IDEOGRAPH.sub(r" \g<0> ", kept.translate(_DELETED)).split()


def best_threshold(
    null_N: FloatArray, scores_N: FloatArray, has_answer_N: np.ndarray, given_N: np.ndarray
) -> tuple[float, float]:
    """Above which probability of no answer it is best to give none: `find_best_thresh` of evaluate-v2.0.py.

    Args:
        null_N: how likely each question is to have no answer.
        scores_N: of the answers, where they are given.
        has_answer_N: whether there is an answer, bool.
        given_N: whether the answer, where it is given, is more than "", bool.

    Returns:
        The threshold, 0.0 where it is best to give none at all; and the mean score with it.
    """
    order = np.argsort(null_N, kind="stable")
    gains_N = np.where(has_answer_N, scores_N, -given_N.astype(np.float64))[order]
    without = float((~has_answer_N).sum())
    scores = np.cumsum(np.concatenate([[without], gains_N]))
    best = int(scores.argmax())
    return (float(null_N[order[best - 1]]) if best else 0.0), float(scores[best]) / len(scores_N)
