"""What a run came to: a level, the answer in a few words, a sentence for the doctor, a few for a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bertkit.config.head import USUAL_KIND
from bertkit.config.terms import MASKED, PAIRS
from bertkit.diagnose.wording import capital, perplexity, said
from bertkit.health.unlabelled import OVERFIT_BY, last_training_loss, soon_through, too_early
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.history import BaselineScore, Evaluation, History, RunHistory, Scores, is_finetuning
from bertkit.runs.records import number
from bertkit.tasks.kinds import get_kind, title

Result = Mapping[str, Any]
Level = Literal["good", "open", "bad"]
Place = Literal["above", "around", "below"]
NO_RESULT = "This run has no result yet: it is going on, or was interrupted."


@dataclass(frozen=True)
class Verdict:
    """`text` in plain words; `lead` the answer in a few of them; `level` as `Conclusion` has it."""

    level: Level
    lead: str
    text: str


@dataclass(frozen=True)
class Conclusion:
    """What scores and outcomes come to.

    Attributes:
        level: good if the interval lies above every baseline and no seed failed, bad if the model collapsed
            or scores no more than the blind one, open in between.
        lead: the answer in a few words.
        collapsed: every seed gives all rows the same answer.
        learned: as `Scores` has it.
        rival: where the interval lies, seen from the score of the baseline that reads the texts; None where
            there is none.
    """

    level: Level
    lead: str
    collapsed: bool
    learned: bool | None
    rival: Place | None


def verdict_on(run: History, result: Result) -> Verdict:
    """What a page says of a run: by its scores and the baselines, or by the unigram plateau.

    Args:
        run: what its folder tells.
        result: the content of its `result.json`; empty while it has none.
    """
    if is_finetuning(run):
        return _finetuned(run.scores, result) if run.scores and result else _unfinished(run)
    return _pretrained(run, result) if result else _unfinished(run)


def sentence_on(run: History) -> str:
    """Whether it learned, in one sentence."""
    if run.stopped:
        return f"It was stopped: {run.stopped}"
    return _finetuning_in_short(run) if is_finetuning(run) else _pretraining_in_short(run)


def conclude(scores: Scores, statuses: Sequence[str]) -> Conclusion:
    """Judge scores by their interval; a baseline's score is taken as it is, for it is of the same rows.

    Args:
        scores: of all seeds together.
        statuses: of each seed that is known; see `runs.result.SeedResult`.
    """
    collapsed = bool(statuses) and all(status == "collapsed" for status in statuses)
    rival = None if scores.rival is None else _place(scores, scores.rival)
    level, lead = _words(scores, statuses, collapsed, rival)
    return Conclusion(level, lead, collapsed, scores.learned, rival)


def conclusion_of(run: RunHistory[Recipe], scores: Scores) -> Conclusion:
    """The same of a run, by those of its seeds that are done."""
    return conclude(scores, [track.outcome.status for track in run.tracks if track.outcome])


def losses(result: Result) -> dict[str, dict[str, float]]:
    """What the loss stands between, by name: each has `mlm_loss`, and accuracies where they are known.

    What was no number is NaN.
    """
    rows: dict[str, dict[str, float | None]] = {
        "uniform guessing": {MASKED.loss: result["floors"]["uniform"]},
        "token frequencies": {MASKED.loss: result["floors"]["unigram"]},
        "before, held out": result["before"] or {},
        "training": {MASKED.loss: result["train_mlm_loss"]},
        "after, held out": result["heldout"] or {},
    }
    return {name: {key: number(value) for key, value in row.items()} for name, row in rows.items() if row}


def _unfinished(run: History) -> Verdict:
    if run.stopped:
        return Verdict("bad", "Stopped.", f"This run stopped: {run.stopped}")
    last = ""
    if not is_finetuning(run) and run.track.evaluations:
        last = f" Its last held-out loss is {said(run.track.evaluations[-1].loss, 3)}."
    return Verdict("open", "Not finished.", f"{NO_RESULT}{last}")


# ---- Labelled rows


def _place(scores: Scores, rival: BaselineScore) -> Place:
    if scores.beats(rival):
        return "above"
    return "around" if scores.low <= rival.score <= scores.high else "below"


def _words(
    scores: Scores, statuses: Sequence[str], collapsed: bool, rival: Place | None
) -> tuple[Level, str]:
    if collapsed:
        return "bad", "It collapsed."
    if scores.blind is None:
        return "open", "It is done."
    if not scores.learned:
        return "open" if scores.reaches(scores.blind) else "bad", "Nothing shows that it learned."
    if scores.rival is not None and rival == "below":
        return "open", f"It learned, but less than {scores.rival.words}."
    if scores.rival is not None and rival == "around":
        return "open", f"It learned; whether more than {scores.rival.words} is open."
    if any(status != "learned" for status in statuses):
        return "open", "It learned, but not from every seed."
    return "good", "It learned."


def _finetuned(scores: Scores, result: Result) -> Verdict:
    statuses = [seed["status"] for seed in result["seeds"]]
    found = conclude(scores, statuses)
    count = len(statuses)
    mean = f", mean of {count} seeds (deviation {result['deviation']:.3f})" if count > 1 else ""
    beside = " and ".join(_baselines(scores))
    parts = [
        f"{capital(title(scores.metric, scores.positive))} {_scored(scores)}{mean}{scores.beside}.",
        f"{capital(beside)}." if beside else "",
        _meaning(scores, result, found),
        _seeds(statuses) if count > 1 else "",
    ]
    return Verdict(found.level, found.lead, " ".join(filter(None, parts)))


def _scored(scores: Scores) -> str:
    return f"{scores.score:.3f} [{scores.low:.3f}, {scores.high:.3f}] on {scores.rows:,} dev rows"


def _baselines(scores: Scores) -> list[str]:
    """What those score that there are."""
    return [f"{each.words} scores {each.score:.3f}" for each in (scores.blind, scores.rival) if each]


def sides(scores: Scores) -> tuple[str, str]:
    """Where better scores lie, and worse ones."""
    return ("above", "below") if scores.higher else ("below", "above")


def _meaning(scores: Scores, result: Result, found: Conclusion) -> str:
    if found.collapsed:
        return f"The model collapsed: it gives every dev row the same answer{_only_answer(result)}."
    if scores.blind is None:
        return ""
    if not found.learned:
        reached = f"{'down' if scores.higher else 'up'} to the {scores.blind.title}'s score"
        return f"The interval reaches {reached}: nothing shows that the model learned."
    better, worse = sides(scores)
    learned = get_kind(result.get("kind", USUAL_KIND)).learned
    rival = "" if scores.rival is None else f"the {scores.rival.title}"
    return {
        None: f"The interval lies {better} it: the model has learned {learned}.",
        "above": f"The interval lies {better} both: the model knows more than which words occur.",
        "below": f"The interval lies {worse} {rival}, which is the better one for these data.",
        "around": f"The interval includes {rival}'s score: these dev rows cannot tell the two apart.",
    }[found.rival]


def _only_answer(result: Result) -> str:
    given = [each["label"] for each in result.get("by_class", ()) if each["predicted"]]
    return f", {given[0]!r}" if len(given) == 1 else ""


def _seeds(statuses: Sequence[str]) -> str:
    failed = [f"{statuses.count(s)} {s}" for s in ("collapsed", "diverged", "not learned") if s in statuses]
    return (
        f"Of {len(statuses)} seeds: {statuses.count('learned')} learned{''.join(f', {f}' for f in failed)}."
    )


def _finetuning_in_short(run: RunHistory[Recipe]) -> str:
    scores = run.scores
    if scores is None:
        return _how_far(run)
    beside = " and ".join(_baselines(scores))
    lead = conclusion_of(run, scores).lead.removesuffix(".")
    scored = f"{lead}: {title(scores.metric, scores.positive)} {_scored(scores)}{scores.beside}"
    return f"{scored}, where {beside}." if beside else f"{scored}."


def _how_far(run: RunHistory[Recipe]) -> str:
    begun = [track for track in run.tracks if track.steps]
    if not begun:
        return "It is not done, and has logged nothing yet."
    last, training = begun[-1], run.recipe.training
    who = f"seed {last.seed} of {training.seeds}" if training.seeds > 1 else "it"
    of = "" if training.budget else f" of {training.epochs}"
    where = f"{who} is at epoch {last.place:.2f}{of}"
    scored = [each for track in begun for each in track.evaluations if math.isfinite(each.score)]
    so_far = ""
    if scored:
        best = max(scored, key=lambda each: each.value)
        so_far = f", its best score so far is {best.score:.3f} [{best.low:.3f}, {best.high:.3f}]"
    return f"It is not done: {where}{so_far}."


# ---- Text


def _pretrained(run: RunHistory[PretrainRecipe], result: Result) -> Verdict:
    level, lead, meaning = _came_to(run, result)
    return Verdict(level, lead, f"{_figures(result)} {meaning}{_seeds_of_text(result)}")


def _seeds_of_text(result: Result) -> str:
    """What all seeds came to, where there are several: what is said before is of the best of them."""
    seeds = result.get("seeds", ())
    if len(seeds) < 2:
        return ""
    learned = sum(seed["through_at"] is not None for seed in seeds)
    mean, *interval = (said(number(each), 3) for each in (result["heldout_loss"], *result["interval"]))
    return (
        f" That is the best of {len(seeds)} seeds, of which {learned} learned; the mean of their losses is "
        f"{mean} [{', '.join(interval)}]."
    )


def _figures(result: Result) -> str:
    found, floors = result["heldout"], result["floors"]
    loss = _last_loss(result)
    where = "Held-out loss" if found else "Training loss (no text was held out)"
    right = ""
    if found:
        right = f": {found[MASKED.accuracy]:.1%} of the masked tokens are restored"
        if PAIRS.accuracy in found:
            right += f", {found[PAIRS.accuracy]:.1%} of the pairs told right"
    words = f"{where} {said(loss, 3)}, perplexity {said(perplexity(loss), 1)}{right}."
    if math.isnan(loss):
        words = f"{where}: no number."
    return (
        f"{words} Predicting the token frequencies gives {floors['unigram']:.3f} "
        f"({said(perplexity(floors['unigram']), 0)}), uniform guessing {floors['uniform']:.3f} "
        f"({said(perplexity(floors['uniform']), 0)})."
    )


def _last_loss(result: Result) -> float:
    found = result["heldout"]
    return number(found[MASKED.loss] if found else result["train_mlm_loss"])


def _scored_texts(run: History) -> list[Evaluation]:
    return [each for each in run.track.evaluations if math.isfinite(each.loss)]


def _came_to(run: RunHistory[PretrainRecipe], result: Result) -> tuple[Level, str, str]:
    """The level, the answer in a few words, and a sentence."""
    before, after = result["before"], result["heldout"]
    if math.isnan(_last_loss(result)):
        return "bad", "It broke.", "An update was so large that the model broke: what it gives is no number."
    if not run.learned:
        return _on_the_plateau(run)
    lowest = min(_scored_texts(run), key=lambda each: each.loss, default=None)
    if after and lowest and after[MASKED.loss] > lowest.loss + OVERFIT_BY:
        text = (
            f"It was lower before, {lowest.loss:.3f} after step {lowest.step:,}: the model began to "
            "overfit the text. More text or fewer steps would help."
        )
        return "open", "It learned, then overfitted.", text
    if run.through_at == 0 and before and after:
        gain = before[MASKED.loss] - after[MASKED.loss]
        began = f"The model began with {before[MASKED.loss]:.3f}"
        if gain <= 0:
            return "open", "It won nothing.", f"{began}, and has won nothing on this text."
        text = (
            f"{began} on this text (perplexity {said(perplexity(before[MASKED.loss]), 1)}), and has won "
            f"{gain:.3f}."
        )
        return "good", "It learned.", text
    text = (
        f"It broke through the unigram plateau by step {run.through_at:,} of "
        f"{result['steps']:,}: the model uses the context."
    )
    return "good", "It learned.", text


def _on_the_plateau(run: RunHistory[PretrainRecipe]) -> tuple[Level, str, str]:
    """See `_came_to`."""
    if too_early(run):
        text = (
            f"The MLM head is new, and {run.track.last_step:,} updates are too few to learn it: the loss "
            "tells nothing of the encoder yet."
        )
        return "open", "It is too early to tell.", text
    if soon_through(run):
        text = (
            "The loss had nearly left the unigram plateau at the end, and was still falling: "
            "more steps would bring more."
        )
        return "open", "It has just begun to learn.", text
    text = (
        "The loss stayed on the unigram plateau: the model has hardly learned to use the "
        "context, and will help little."
    )
    return "bad", "It has hardly learned.", text


def _pretraining_in_short(run: RunHistory[PretrainRecipe]) -> str:
    track, scored = run.track, _scored_texts(run)
    if track.broken:
        return f"It broke: the held-out loss after step {track.evaluations[-1].step:,} is no number."
    held = f"the held-out loss is {scored[-1].loss:.3f}" if scored else _without_heldout(run)
    if not run.finished:
        if not track.steps:
            return "It is not done, and has logged nothing yet."
        of_seed = "" if track.seed is None else f" of seed {track.seed}"
        done = f"{track.last_step:,} steps{of_seed} are, about {run.share_done(track):.0%} of it"
        return f"It is not done: {done}, and {held}."
    if not run.learned and too_early(run):
        return f"It is too early to tell: the MLM head is new, and {held}."
    if not run.learned and soon_through(run):
        return f"It had nearly left the unigram plateau when it ended: {held}."
    if not run.learned:
        return f"It did not learn to use the context and stayed on the unigram plateau: {held}."
    if run.through_at == 0 and scored:
        won = scored[0].loss - scored[-1].loss
        told = f"It went on learning: {held}" if won > 0 else f"It won nothing: {held}"
        return f"{told}, and it began with {scored[0].loss:.3f}."
    if not scored or run.floor is None:
        return f"It learned: {held}."
    below = run.floor - scored[-1].loss
    return f"It learned: {held}, {below:.3f} below that of predicting the token frequencies."


def _without_heldout(run: RunHistory[PretrainRecipe]) -> str:
    loss = last_training_loss(run)
    told = "" if math.isnan(loss) else f"the training loss is {loss:.3f}, and "
    return f"{told}no text was held out"
