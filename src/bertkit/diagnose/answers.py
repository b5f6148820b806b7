"""What a run came to in one sentence, and short answers to what one would ask about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bertkit.diagnose.begun_again import begun_again
from bertkit.diagnose.conclusion import Conclusion, conclude
from bertkit.diagnose.verdict import BASELINES
from bertkit.diagnose.wording import title
from bertkit.health.labelled import ON_THE_PRIOR
from bertkit.health.steps import gaps
from bertkit.health.unlabelled import (
    LAST,
    gap_trend,
    heldout_trend,
    last_training_loss,
    pairs_interval,
    scored_after_start,
    soon_through,
)
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.history import History, RunHistory, Scores, Step, Track, is_finetuning, numbers


@dataclass(frozen=True)
class Answer:
    """A question about a run, and what its folder says to it."""

    question: str
    words: str


def verdict_of(run: History) -> str:
    """Whether it learned, in one sentence."""
    return _finetuned(run) if is_finetuning(run) else _pretrained(run)


def answers_of(run: History) -> tuple[Answer, ...]:
    """What there is to say of a run whether it is healthy or not."""
    if is_finetuning(run):
        asked = {
            "Did it take in the training rows?": _taken_in(run),
            "Does that hold for other rows?": _holds(run),
            "When was it best?": _best(run),
            "Do the seeds agree?": _seeds(run),
            "Where did the rate go?": _rate(run.track.steps),
        }
    else:
        asked = {
            "Did it leave the plateau of word frequencies?": _left(run),
            "Was it still learning at its end?" if run.finished else "Is it still learning?": _falling(run),
            "Is there enough text?": _text(run),
            "Can it tell pairs?": _pairs(run),
            "Where did the rate go?": _rate(run.track.steps),
        }
    asked["Was it begun again?"] = f"Yes. {told}" if (told := begun_again(run)) else ""
    asked["Is the log whole?"] = _holes(run.tracks)
    return tuple(Answer(question, words) for question, words in asked.items() if words)


def _finetuned(run: RunHistory[Recipe]) -> str:
    if run.scores is None:
        return _unfinished(run)
    scores = run.scores
    said = _conclusion(run, scores).lead.removesuffix(".")
    beside = [
        f"{words} scores {score:.3f}"
        for words, score in zip(BASELINES.values(), (scores.majority, scores.ngram), strict=True)
        if score is not None
    ]
    return (
        f"{said}: {title(scores.metric)} {scores.score:.3f} [{scores.low:.3f}, {scores.high:.3f}] on "
        f"{scores.rows:,} dev rows" + (f", where {' and '.join(beside)}." if beside else ".")
    )


def _unfinished(run: RunHistory[Recipe]) -> str:
    begun = [seed for seed in run.tracks if seed.steps]
    if not begun:
        return "It is not done, and has logged nothing yet."
    last = begun[-1]
    seeds = f"seed {last.seed} of {run.recipe.training.seeds} " if run.recipe.training.seeds > 1 else ""
    where = f"{seeds}is at epoch {last.place:.2f} of {run.recipe.training.epochs}"
    scored = [each for seed in begun for each in seed.evaluations if math.isfinite(each.score)]
    so_far = ""
    if scored:
        best = max(scored, key=lambda each: each.score)
        so_far = f", its best score so far is {best.score:.3f} [{best.low:.3f}, {best.high:.3f}]"
    return f"It is not done: {where if seeds else f'it {where}'}{so_far}."


def _pretrained(run: RunHistory[PretrainRecipe]) -> str:
    if run.stopped:
        return f"It was stopped: {run.stopped}"
    evaluations = run.track.evaluations
    if run.track.broken:
        return f"It broke: the held-out loss after step {evaluations[-1].step:,} is no number."
    scored = [each for each in evaluations if math.isfinite(each.loss)]
    held = f"the held-out loss is {scored[-1].loss:.3f}" if scored else _without_heldout(run)
    if not run.finished:
        if not run.track.steps:
            return "It is not done, and has logged nothing yet."
        done = f"{run.track.last_step:,} steps are, about {run.share_done(run.track):.0%} of it"
        return f"It is not done: {done}, and {held}."
    if run.through_at is None and soon_through(run):
        return f"It had nearly left the plateau of word frequencies when it ended: {held}."
    if run.through_at is None:
        return f"It did not learn to use the context and stayed on the plateau of word frequencies: {held}."
    if run.through_at == 0 and scored:
        won = scored[0].loss - scored[-1].loss
        said = f"It went on learning: {held}" if won > 0 else f"It won nothing: {held}"
        return f"{said}, and it began with {scored[0].loss:.3f}."
    if not scored or run.floor is None:
        return f"It learned: {held}."
    below = run.floor - scored[-1].loss
    return f"It learned: {held}, {below:.3f} below that of knowing only how frequent words are."


def _without_heldout(run: RunHistory[PretrainRecipe]) -> str:
    loss = last_training_loss(run)
    told = "" if math.isnan(loss) else f"the training loss is {loss:.3f}, and "
    return f"{told}no text was held out"


def _taken_in(run: RunHistory[Recipe]) -> str:
    if not any(seed.evaluations for seed in run.tracks):
        return ""
    loss = run.train_loss
    if run.floor is None:
        return f"The training loss of its last epoch is {loss:.3f}."
    share = loss / run.floor if run.floor else math.inf
    return (
        f"{'Yes' if share < ON_THE_PRIOR else 'No'}: the training loss of its last epoch is {loss:.3f}, and "
        f"knowing only how often each label occurs gives {run.floor:.3f}."
    )


def _conclusion(run: RunHistory[Recipe], scores: Scores) -> Conclusion:
    return conclude(scores, [seed.outcome.status for seed in run.tracks if seed.outcome])


def _holds(run: RunHistory[Recipe]) -> str:
    if run.scores is None:
        return ""
    found = _conclusion(run, run.scores)
    if found.learned is None:
        return ""
    if not found.learned:
        return "Nothing shows it: the interval of its score includes the majority's."
    return {
        None: "Yes: the interval of its score lies above the majority's.",
        "above": "Yes: the interval of its score lies above the majority's and an n-gram model's.",
        "below": "Yes, but an n-gram model's score lies above its interval.",
        "around": "Yes: the interval of its score lies above the majority's. It includes an n-gram model's, "
        "so these rows can't tell which of the two is better.",
    }[found.ngram]


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


def _rate(steps: Sequence[Step]) -> str:
    rates = numbers([step.learning_rate for step in steps])
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
