"""One paragraph that says what a score is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bertkit.diagnose.conclusion import Conclusion, Level, conclude
from bertkit.diagnose.wording import capital, title
from bertkit.runs.history import Scores

BASELINES = {"majority": "always answering the majority", "ngram": "an n-gram model"}


@dataclass(frozen=True)
class Verdict:
    """`text` in plain words; `level` and `lead` as `Conclusion` has them."""

    level: Level
    text: str
    lead: str = ""


def give_verdict(result: Mapping[str, Any]) -> Verdict:
    """Judge the content of a `result.json` by its score's interval and the baselines.

    A baseline's score is taken as it is: it is of the same dev rows.
    """
    found = conclude(_scores(result), [seed["status"] for seed in result["seeds"]])
    parts = [_score(result), _beside(result), _means(result, found), _seeds(result)]
    return Verdict(found.level, " ".join(part for part in parts if part), found.lead)


def _score(result: Mapping[str, Any]) -> str:
    low, high = result["interval"]
    seeds = len(result["seeds"])
    mean = f", mean of {seeds} seeds (deviation {result['deviation']:.3f})" if seeds > 1 else ""
    return (
        f"{capital(title(result['metric']))} {result['score']:.3f} [{low:.3f}, {high:.3f}] "
        f"on {result['rows']:,} dev rows{mean}."
    )


def _beside(result: Mapping[str, Any]) -> str:
    told = [
        f"{words} scores {result['baselines'][name]['score']:.3f}" for name, words in _rivals(result).items()
    ]
    return f"{capital(' and '.join(told))}." if told else ""


def _rivals(result: Mapping[str, Any]) -> dict[str, str]:
    """The baselines that there are: without training rows there is no n-gram model."""
    return {name: words for name, words in BASELINES.items() if result["baselines"].get(name)}


def _means(result: Mapping[str, Any], found: Conclusion) -> str:
    if found.collapsed:
        return f"The model collapsed: it gives every dev row the same answer{_only_answer(result)}."
    if found.learned is None:
        return ""
    if not found.learned:
        return "The interval reaches down to the majority's score: nothing shows that the model learned."
    return {
        None: "The interval lies above it: the model has learned to tell the labels apart.",
        "above": "The interval lies above both: the model knows more than which words occur.",
        "below": "The interval lies below the n-gram model, which is the better one for these data.",
        "around": "The interval includes the n-gram model's score: these dev rows cannot tell the two apart.",
    }[found.ngram]


def _scores(result: Mapping[str, Any]) -> Scores:
    low, high = result["interval"]
    known = {name: result["baselines"][name]["score"] for name in _rivals(result)}
    return Scores(
        result["metric"],
        result["score"],
        low,
        high,
        known.get("majority"),
        known.get("ngram"),
        result["rows"],
    )


def _only_answer(result: Mapping[str, Any]) -> str:
    if not result.get("confusion"):
        return ""
    answers = [sum(column) for column in zip(*result["confusion"], strict=True)]
    given = [label for label, count in zip(result["labels"], answers, strict=True) if count]
    return f", {given[0]!r}" if len(given) == 1 else ""


def _seeds(result: Mapping[str, Any]) -> str:
    statuses = [seed["status"] for seed in result["seeds"]]
    if len(statuses) == 1:
        return ""
    failed = [f"{statuses.count(s)} {s}" for s in ("collapsed", "diverged", "not learned") if s in statuses]
    return (
        f"Of {len(statuses)} seeds: {statuses.count('learned')} learned{''.join(f', {f}' for f in failed)}."
    )
