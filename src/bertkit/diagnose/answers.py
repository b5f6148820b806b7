"""Short answers to what one would ask about a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bertkit.diagnose.verdict import conclusion_of, sides
from bertkit.health.labelled import ON_THE_PRIOR
from bertkit.health.steps import gaps
from bertkit.health.unlabelled import (
    LAST,
    gap_trend,
    heldout_trend,
    pairs_interval,
    scored_after_start,
    soon_through,
)
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.findings import Change
from bertkit.runs.history import History, RunHistory, Track, is_finetuning, numbers
from bertkit.tasks.registry import kind_of


@dataclass(frozen=True)
class Answer:
    """A question about a run, and what its folder says to it."""

    question: str
    words: str


def answers_of(run: History) -> tuple[Answer, ...]:
    """What there is to say of a run whether it is healthy or not."""
    if is_finetuning(run):
        asked = {
            "Did it take in the training rows?": _taken_in(run),
            "Does that hold for other rows?": _holds(run),
            "When was it best?": _best(run),
            "Do the seeds agree?": _seeds(run),
            "How did the learning rate change?": _rate(run.tracks),
        }
    else:
        asked = {
            "Did it leave the unigram plateau?": _left(run),
            "Was it still learning at its end?" if run.finished else "Is it still learning?": _falling(run),
            "Is there enough text?": _text(run),
            "Can it tell pairs?": _pairs(run),
            "Do the seeds agree?": _losses(run),
            "How did the learning rate change?": _rate(run.tracks),
        }
    asked["Was it begun again?"] = f"Yes. {told}" if (told := begun_again(run)) else ""
    asked["Is the log whole?"] = _holes(run.tracks)
    return tuple(Answer(question, words) for question, words in asked.items() if words)


def begun_again(run: History) -> str:
    """Each restart, with the collapse that it follows; "" of a run that never was begun again."""
    return " ".join(
        ("" if track.seed is None else f"Seed {track.seed}: ")
        + f"After step {restart.step:,} it began again {restart.how}. {restart.seen}"
        for track in run.tracks
        for restart in track.restarts
    )


def typed_settings(run: History) -> dict[str, str]:
    """What restarts changed, by key, as `--set` takes it: the run's recipe file says what was asked for."""
    return {key: Change(key, value).typed.removeprefix("--set ") for key, value in run.settings.items()}


def _taken_in(run: RunHistory[Recipe]) -> str:
    if not any(seed.evaluations for seed in run.tracks):
        return ""
    loss = run.train_loss
    if run.floor is None:
        return f"The training loss of its last epoch is {loss:.3f}."
    share = loss / run.floor if run.floor else math.inf
    return (
        f"{'Yes' if share < ON_THE_PRIOR else 'No'}: the training loss of its last epoch is {loss:.3f}, and "
        f"{kind_of(run.recipe.task).floor_title} gives {run.floor:.3f}."
    )


def _holds(run: RunHistory[Recipe]) -> str:
    if run.scores is None:
        return ""
    found, blind, rival = conclusion_of(run, run.scores), run.scores.blind, run.scores.rival
    if blind is None:
        return ""
    if not found.learned:
        return f"Nothing shows it: the interval of its score includes the {blind.title}'s."
    better, _ = sides(run.scores)
    above = f"Yes: the interval of its score lies {better} the {blind.title}'s"
    other = "" if rival is None else rival.words
    return {
        None: f"{above}.",
        "above": f"{above} and {other}'s.",
        "below": f"Yes, but {other}'s score lies {better} its interval.",
        "around": f"{above}. It includes {other}'s, so these rows can't tell which of the two is better.",
    }[found.rival]


def _best(run: RunHistory[Recipe]) -> str:
    best = [seed.outcome.best_epoch for seed in run.tracks if seed.outcome]
    if not best:
        return ""
    of = max(seed.place for seed in run.tracks)
    if len(best) == 1:
        return f"After epoch {best[0]:.3g} of {of:.3g}."
    return f"After epochs {', '.join(f'{each:.3g}' for each in best)} of {of:.3g}, by seed."


def _seeds(run: RunHistory[Recipe]) -> str:
    scores = numbers([seed.outcome.score for seed in run.tracks if seed.outcome])
    if len(scores) < 2 or run.scores is None:
        return ""
    return (
        f"Their scores go from {min(scores):.3f} to {max(scores):.3f}; the interval of their mean is "
        f"{run.scores.high - run.scores.low:.3f} wide."
    )


def _losses(run: RunHistory[PretrainRecipe]) -> str:
    ends = numbers([track.evaluations[-1].loss for track in run.tracks if track.evaluations])
    if len(ends) < 2 or not run.finished:
        return ""
    return f"Their held-out losses go from {min(ends):.3f} to {max(ends):.3f}; this is said of the best."


def _rate(tracks: Sequence[Track]) -> str:
    """Of the first seed, as of all of them."""
    rates = numbers([step.learning_rate for track in tracks[:1] for step in track.steps])
    if not rates:
        return ""
    top = max(rates)
    at = rates.index(top) / len(rates)
    if min(rates) == top:
        return f"It stayed at {top:.2g}."
    return f"It was highest, {top:.2g}, after {at:.0%} of the steps there are, and ends at {rates[-1]:.1g}."


def _holes(tracks: Sequence[Track]) -> str:
    missing = [hole for track in tracks for hole in gaps(track.steps)]
    if not missing:
        return ""
    first, last = missing[0]
    return f"No: it lacks steps {first:,} to {last:,}" + (
        f", and {len(missing) - 1:,} more stretches." if len(missing) > 1 else "."
    )


def _left(run: RunHistory[PretrainRecipe]) -> str:
    if run.through_at is None:
        return "Not quite." if run.finished and soon_through(run) else "No." if run.finished else "Not yet."
    if run.through_at == 0:
        return "It began beyond it."
    last = run.track.last_step
    share = f" of {last:,} ({run.through_at / last:.0%})" if last else ""
    return f"Yes, by step {run.through_at:,}{share}."


def _falling(run: RunHistory[PretrainRecipe]) -> str:
    curve = heldout_trend(run)
    if curve is None:
        return ""
    line = (
        f"over the last {LAST:.0%} of its steps a straight line through the held-out losses "
        f"{'falls' if curve.change < 0 else 'rises'} by {abs(curve.change):.3f} nats (±{curve.margin:.3f})"
    )
    if curve.falls:
        return f"Yes: {line}. More steps would bring more."
    return f"No: {line}{'.' if curve.rises else ', no more than its noise.'}"


def _text(run: RunHistory[PretrainRecipe]) -> str:
    if math.isnan(run.epochs):
        return ""
    gap = gap_trend(run)
    drawn = ""
    if gap is not None and len(scored_after_start(run)) > 1:
        way = "draws away from" if gap.rises else "stays with"
        drawn = f" The training loss {way} the held-out loss."
    return f"It was read {run.epochs:.2f} times.{drawn}"


def _pairs(run: RunHistory[PretrainRecipe]) -> str:
    told = pairs_interval(run)
    if told is None:
        return ""
    right, low, high = told
    said = "Yes" if low > 0.5 else "No"
    return f"{said}: {right:.1%} of the held-out pairs are right [{low:.1%}, {high:.1%}]; a coin gives 50 %."
