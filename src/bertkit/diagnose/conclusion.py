"""What a fine-tuning came to, by its interval and the baselines: said alike on every page and terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bertkit.runs.history import Scores

Level = Literal["good", "open", "bad"]
Place = Literal["above", "around", "below"]


@dataclass(frozen=True)
class Conclusion:
    """What scores and outcomes come to.

    Attributes:
        level: good if the interval lies above every baseline and no seed failed, bad if the model collapsed
            or scores no more than the majority, open in between.
        lead: the answer in a few words.
        collapsed: every seed gives all rows the same answer.
        learned: the interval lies above the majority's score; None where there is no majority.
        ngram: where the interval lies, seen from the n-gram model's score; None where there is none.
    """

    level: Level
    lead: str
    collapsed: bool
    learned: bool | None
    ngram: Place | None


def conclude(scores: Scores, statuses: Sequence[str]) -> Conclusion:
    """Judge scores by their interval; a baseline's score is taken as it is, for it is of the same rows.

    Args:
        scores: of all seeds together.
        statuses: of each seed that is known; see `train.results.SeedResult`.
    """
    collapsed = bool(statuses) and all(status == "collapsed" for status in statuses)
    learned = None if scores.majority is None else scores.low > scores.majority
    ngram = None if scores.ngram is None else _place(scores, scores.ngram)
    level, lead = _words(scores, statuses, collapsed, learned, ngram)
    return Conclusion(level, lead, collapsed, learned, ngram)


def _place(scores: Scores, rival: float) -> Place:
    if scores.low > rival:
        return "above"
    return "below" if scores.high < rival else "around"


def _words(
    scores: Scores, statuses: Sequence[str], collapsed: bool, learned: bool | None, ngram: Place | None
) -> tuple[Level, str]:
    if collapsed:
        return "bad", "It collapsed."
    if learned is None or scores.majority is None:
        return "open", "It is done."
    if not learned:
        return "open" if scores.score > scores.majority else "bad", "Nothing shows that it learned."
    if ngram == "below":
        return "open", "It learned, but less than an n-gram model."
    if ngram == "around":
        return "open", "It learned; whether more than an n-gram model is open."
    if any(status != "learned" for status in statuses):
        return "open", "It learned, but not from every seed."
    return "good", "It learned."
