"""One paragraph that says what a score is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bertkit.diagnose.wording import capital, title

BASELINES = {"majority": "always answering the majority", "ngram": "an n-gram model"}


Level = Literal["good", "open", "bad"]


@dataclass(frozen=True)
class Verdict:
    """`text` in plain words; `level` is good if the interval lies above every baseline and no seed failed,
    bad if nothing shows that the model learned, open in between. `lead` is the answer in a few words.
    """

    level: Level
    text: str
    lead: str = ""


def give_verdict(result: Mapping[str, Any]) -> Verdict:
    """Judge the content of a `result.json` by its score's interval and the baselines.

    A baseline's score is taken as it is: it is of the same dev rows.
    """
    conclusion = _conclusion(result)
    parts = [_score(result), _beside(result), conclusion.text, _seeds(result)]
    return replace(conclusion, text=" ".join(part for part in parts if part))


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
    return f"{capital(' and '.join(told))}."


def _rivals(result: Mapping[str, Any]) -> dict[str, str]:
    """The baselines that there are: without training rows there is no n-gram model."""
    return {name: words for name, words in BASELINES.items() if name in result["baselines"]}


def _conclusion(result: Mapping[str, Any]) -> Verdict:
    low, high = result["interval"]
    scores = {name: result["baselines"][name]["score"] for name in _rivals(result)}
    if all(seed["status"] == "collapsed" for seed in result["seeds"]):
        text = f"The model collapsed: it gives every dev row the same answer{_only_answer(result)}."
        return Verdict("bad", text, "It collapsed.")
    if low <= scores["majority"]:
        text = "The interval reaches down to the majority's score: nothing shows that the model learned."
        return Verdict("bad", text, "Nothing shows that it learned.")
    every = all(seed["status"] == "learned" for seed in result["seeds"])
    level: Level = "good" if every else "open"
    lead = "It learned." if every else "It learned, but not from every seed."
    if "ngram" not in scores:
        text = "The interval lies above it: the model has learned to tell the labels apart."
        return Verdict(level, text, lead)
    if low > scores["ngram"]:
        text = "The interval lies above both: the model knows more than which words occur."
        return Verdict(level, text, lead)
    if high < scores["ngram"]:
        text = "The interval lies below the n-gram model, which is the better one for these data."
        return Verdict("open", text, "It learned, but less than an n-gram model.")
    text = "The interval includes the n-gram model's score: these dev rows cannot tell the two apart."
    return Verdict("open", text, "It learned; whether more than an n-gram model is open.")


def _only_answer(result: Mapping[str, Any]) -> str:
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
