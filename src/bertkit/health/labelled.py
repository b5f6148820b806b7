"""Labelled rows: whether a run learns anything from them, and is worth more than no model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bertkit.health.advice import (
    FRESH_RATE,
    PRETRAINED,
    THAWED,
    grave,
    longer,
    notable,
    steadier,
    trainable,
    usual_rate,
    visible_inputs,
)
from bertkit.health.preflight import Preflight
from bertkit.health.steps import diverged, of_seeds
from bertkit.health.watch import Watched
from bertkit.recipe import Recipe
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import ENOUGH_STEPS, RunHistory, Track, last_train_loss, mean
from bertkit.tasks.registry import kind_of

ON_THE_PRIOR = 0.97
"""Share of the baseline loss above which a loss is that of the label shares, so that a run is stuck. From
fresh weights on CoLA and RTE, runs that answer every row alike end at 0.98 to 1.2 of it; of those that
learned none ends above 0.92, though all stand at 1.0 for their first epoch."""
OFF_THE_PRIOR = 0.95
"""Share of the baseline loss below which a whole epoch's loss is clearly not that of the label shares: its
mean over thousands of rows scatters by about a hundredth. That a run is stuck and that it has left the
prior are two claims, and between the two levels neither is certain: a frozen MiniLM whose embeddings are
averaged ends at 0.96 on CoLA, its loss has fallen, and it answers every row alike."""
LATE = 0.7
"""Share of a run after which one that has always given the same answer is said to be stuck: a run of eight
epochs stood at the baseline loss for five, and learnt in the other three."""
FEWEST_UPDATES = 100
"""Updates before which nobody is said to be stuck: a small model over a few rows may not have begun."""
BELOW_PRIOR = 0.995
"""Of the labels' entropy: below it the mean loss of a whole epoch shows that something is known of the
inputs, for the labels' shares alone can't give less. Of runs of four epochs on CoLA with one answer to
everything, those that left the baseline loss at last were at 0.994 or less in their third, and those that
never did at 0.998."""
FALLING = 0.95
"""Of the labels' entropy: below it the smoothed loss, which scatters by a hundredth or two, falls by now."""
OFF_THE_PRIOR_BY = 500
"""That recipes/cola-scratch.toml takes to leave the labels' entropy."""
WILD = 1.5
"""Times the baseline loss, above which a loss is not that of the shares of labels any more."""
TOO_HIGH = 10.0
"""Times the usual rate, from which a run that is stuck is so for its rate, warm-up or not: a judgement."""
TOO_LOW = 0.1
"""Of the usual rate, up to which a run that is stuck is so for its rate: a judgement."""
CLASS_ROWS, CLASS_FOUND = 10, 0.2
"""Dev rows of a class that tell whether it is found, and the share of them up to which it is not: judgements.
It is at most half the share that is right of all rows, too: where all is hard, no class is."""
CLASSES_NAMED = 3
PERFECT = 1.0
"""Of every metric: no mistake."""
ENOUGH_OF_A_RUN = 0.5
"""Share of a run that is not done after which being stuck is said: MiniLM on CoLA stands at the baseline loss
for the whole first of its four epochs, and then learns."""


def frozen_fresh(record: Preflight) -> Finding | None:
    """A head alone is to be trained, on top of weights that nothing has trained."""
    asked = record.asked
    if not (asked.frozen and asked.fresh):
        return None
    return grave(
        "likely",
        f"The encoder begins with the fresh weights of {asked.model!r}, and stays as it is: the head "
        "alone is trained.",
        "Its features are made by chance, and a head can learn little from them; freezing is for "
        "weights that were trained.",
        THAWED,
        PRETRAINED,
    )


def stuck_at_baseline_loss(watched: Watched) -> Finding | None:
    """One answer to everything in every evaluation, late in the run, and no loss below the labels' entropy.

    Judged where an evaluation has just ended: only the loss of whole epochs tells so little from nothing,
    above all in the order of a sorted file.
    """
    prior, evaluations = watched.setting.baseline_loss, watched.past.evaluations
    if prior is None:
        return None
    if watched.fraction < LATE or watched.step < FEWEST_UPDATES:
        return None
    if len(evaluations) < 2 or not all(evaluation.one_answer for evaluation in evaluations):
        return None
    newest = evaluations[-1]
    if newest.step != watched.step or not newest.train_loss >= BELOW_PRIOR * prior:
        return None
    if watched.past.smoothed < FALLING * prior:
        return None
    return grave(
        "likely",
        f"Every dev row has got the same answer in {len(evaluations)} evaluations, and the training loss of "
        f"the last epoch, {newest.train_loss:.3f}, is not below the baseline loss ({prior:.3f}) "
        f"after {watched.fraction:.0%} of the run.",
        "The model uses nothing of the inputs: its loss is the baseline loss. Gradients still flow; it "
        "needs another learning rate, more epochs or a better start.",
        *(longer(watched.setting.training, 2) if watched.setting.training else ()),
        *(() if watched.setting.trained else (PRETRAINED,)),
    )


def stuck(run: RunHistory[Recipe]) -> Finding | None:
    """The training loss never left that of the label shares."""
    found = [(seed, level) for seed in run.tracks if (level := plateau_of(run, seed)) is not None]
    if not found:
        return None
    seeds, levels = zip(*found, strict=True)
    beside = (
        f"predicting the class frequencies gives {run.floor:.3f}"
        if run.floor is not None
        else "at the beginning it was no higher"
    )
    done = all(seed.outcome for seed in seeds)
    return grave(
        "certain" if done else "likely",
        f"The training loss {'still stood' if done else 'still stands'} at {mean(levels):.3f} "
        f"{'at the end' if done else 'so far'}{of_seeds(run, seeds)}; {beside}.",
        f"The model learned nothing from the texts: {_answers(run, mean(levels))}.{_causes(run)}"
        f"{_nothing_there(run)}",
        *_unstick(run),
    )


def _answers(run: RunHistory[Recipe], level: float) -> str:
    if run.floor is not None and level > WILD * run.floor:
        return "it is confident in wrong answers, which is worse than predicting the class frequencies"
    return "it predicts the class frequencies, whatever the text"


def plateau_of(run: RunHistory[Recipe], seed: Track) -> float | None:
    """The loss at which a seed is stuck, None if it is not, or if it is too early to say."""
    steps = len(seed.steps)
    if steps < ENOUGH_STEPS or seed.broke is not None or run.share_done(seed) < ENOUGH_OF_A_RUN:
        return None
    losses = [step.loss for step in seed.steps]
    last = mean(losses[-(steps // 3) :])
    if not run.recipe.batch.shuffle and seed.evaluations:
        # In the file's order the shares change along an epoch: whole ones compare with the baseline loss.
        last = last_train_loss(seed.evaluations)
    if run.floor is not None:
        return last if last > ON_THE_PRIOR * run.floor else None
    first = losses[: steps // 3]
    return last if last > mean(first) - 2 * _error(first) else None


def some_stuck(run: RunHistory[Recipe]) -> bool:
    """Whether a seed is."""
    return any(plateau_of(run, seed) is not None for seed in run.tracks)


def _error(values: Sequence[float]) -> float:
    """Standard error of a mean."""
    middle = mean(values)
    return math.sqrt(mean([(value - middle) ** 2 for value in values]) / len(values))


def _causes(run: RunHistory[Recipe]) -> str:
    """What in the recipe is known to do that."""
    recipe = run.recipe
    if run.fresh and recipe.model.freeze:
        return " Its head alone was trained, on features of random weights."
    causes = []
    if few := _few_updates(run):
        causes.append(f"no more than {few:,} updates")
    if recipe.batch.pad_to:
        causes.append("attention sees the padding")
    if not recipe.batch.shuffle:
        causes.append("rows in the order of their file")
    rate, usual = recipe.optimiser.lr, usual_rate(recipe)
    if rate <= TOO_LOW * usual or (rate >= TOO_HIGH * usual and not recipe.model.freeze):
        causes.append(f"a learning rate of {rate:g}, where {usual:g} is usual")
    elif not recipe.optimiser.warmup and rate >= usual:
        causes.append(f"a learning rate of {rate:g} without warm-up")
    if any(change.key == "model.options.norm" for change in trainable(recipe.model)):
        causes.append("post-norm layers with fresh weights")
    return f" Known to do that, and so in this recipe: {'; '.join(causes)}." if causes else ""


def _nothing_there(run: RunHistory[Recipe]) -> str:
    """Where counting words finds nothing either, the recipe is not the only suspect."""
    scores = run.scores
    if scores is None or scores.rival is None or scores.blind is None or not scores.higher:
        return ""
    rival, blind = scores.rival, scores.blind
    # About two standard deviations of such a difference, which the rows alone make.
    if rival.score > blind.score + 2 / math.sqrt(scores.rows):
        return ""
    return (
        f" {rival.words[0].upper()}{rival.words[1:]} ({rival.score:.3f}, the {blind.title} "
        f"{blind.score:.3f}) finds next to nothing either: perhaps the texts, or so few of them, do not tell "
        "their labels."
    )


def _few_updates(run: RunHistory[Recipe]) -> int:
    """How many a seed was to make where that is few; 0 where it is not, or nothing tells."""
    planned = max((run.planned(seed) for seed in run.tracks), default=0)
    return planned if planned < OFF_THE_PRIOR_BY else 0


def _unstick(run: RunHistory[Recipe]) -> tuple[Change, ...]:
    recipe = run.recipe
    changes, usual = [*visible_inputs(recipe)], usual_rate(recipe)
    if recipe.optimiser.lr <= TOO_LOW * usual:
        # A head that alone is trained is fresh, whatever it stands on.
        changes.append(Change("optimiser.lr", FRESH_RATE if recipe.model.freeze else usual, together=True))
    # Rates and shapes that help an encoder to learn do nothing for one that stays.
    if run.fresh and recipe.model.freeze:
        changes += [THAWED, *steadier(recipe.optimiser, usual)]
    elif not recipe.model.freeze:
        changes += [*steadier(recipe.optimiser, usual), *trainable(recipe.model)]
    if few := _few_updates(run):
        changes += longer(recipe.training, math.ceil(OFF_THE_PRIOR_BY / few))
    elif not run.fresh:
        changes += longer(recipe.training, 2)
    if recipe.model.freeze and not run.fresh:
        changes.append(Change(words=f"training all weights (--no-freeze), at a learning rate of {usual:g}"))
    return (*changes, PRETRAINED) if run.fresh else tuple(changes)


def collapsed(run: RunHistory[Recipe]) -> Finding | None:
    """Every dev row gets the same answer, though the training loss did not stay where it was."""
    lost = [seed for seed in run.tracks if seed.outcome and seed.outcome.status == "collapsed"]
    lost = [seed for seed in lost if plateau_of(run, seed) is None]
    if not lost:
        return None
    few = max(seed.last_step for seed in lost) < ENOUGH_STEPS
    return grave(
        "likely",
        f"Every dev row gets the same answer{of_seeds(run, lost)}"
        + (f", after {max(seed.last_step for seed in lost)} updates." if few else "."),
        "So few updates teach a model nothing."
        if few
        else "The model does not tell the texts apart, or the dev rows are unlike those it was trained on.",
        *_unstick(run),
    )


def no_better_than_majority(run: RunHistory[Recipe]) -> Finding | None:
    """The score shows nothing of what the model learned, if it learned anything."""
    scores = run.scores
    if scores is None or scores.blind is None or scores.learned:
        return None
    blind = scores.blind
    # What these are told of says more.
    if diverged(run) or any(
        plateau_of(run, s) or (s.outcome and s.outcome.status == "collapsed") for s in run.tracks
    ):
        return None
    fell = run.floor is not None and run.train_loss < OFF_THE_PRIOR * run.floor
    start = PRETRAINED if run.fresh else Change(words="a model that was pretrained on more text (--model)")
    above, beyond = scores.reaches(blind), "below" if scores.higher else "above"
    includes = scores.low <= blind.score <= scores.high
    means = "What the model learned of its rows does not carry over to others, as far as these dev rows show."
    if not fell:
        means = "Nothing shows that the model learned anything from the texts."
    if above:
        means = f"That it does better than {blind.words}, these dev rows cannot show."
    return (notable if above else grave)(
        "possible" if above else "likely",
        f"It scores {scores.score:.3f}, and the interval, {scores.low:.3f} to {scores.high:.3f}, "
        f"{'includes' if includes else f'lies {beyond}'} the {blind.title}'s "
        f"{blind.score:.3f}" + (f", though the training loss fell to {run.train_loss:.3f}." if fell else "."),
        means,
        *((start, Change(words="more labelled rows")) if fell or above else _unstick(run)),
    )


def class_not_found(run: RunHistory[Recipe]) -> Finding | None:
    """Of a class next to nothing is found, though the model learned others."""
    every = sum(each.rows for each in run.by_class)
    right = sum(each.found for each in run.by_class) / every if every else 0.0
    lost = [
        each
        for each in run.by_class
        if each.rows >= CLASS_ROWS and each.found / each.rows <= min(CLASS_FOUND, right / 2)
    ]
    # What these are told of says more.
    if not lost or diverged(run) or some_stuck(run) or _collapsed(run):
        return None
    lost.sort(key=lambda each: -each.rows)
    seen = [
        f"{each.label}: {each.found} of {each.rows} found"
        + (f"; {each.taken} taken for {each.taken_for}" if each.taken else "")
        for each in lost[:CLASSES_NAMED]
    ]
    more = f". So it is with {len(lost) - CLASSES_NAMED} more" if len(lost) > CLASSES_NAMED else ""
    weighed = run.recipe.training.class_weights != "none" or run.recipe.batch.sampling != "natural"
    label_more = Change(words="more labelled rows of such classes, or joining what nobody can tell apart")
    trade, balanced = "", tuple[Change, ...]()
    if weighed:
        trade = " Class weights and balanced batches do not make up for so few rows."
    elif kind_of(run.recipe.task).classes:
        trade = (
            " Class weights trade a little accuracy for small classes: of 1,600 rows of five classes the "
            "square root kept accuracy (0.842 to 0.841) and raised macro F1 from 0.657 to 0.739."
        )
        balanced = (Change("training.class_weights", "sqrt"), Change("batch.sampling", "balanced"))
    return notable(
        "certain",
        f"{'. '.join(seen)}{more}.",
        f"The model answers with other classes instead.{trade}",
        *balanced,
        label_more,
    )


def _collapsed(run: RunHistory[Recipe]) -> bool:
    return any(track.outcome is not None and track.outcome.status == "collapsed" for track in run.tracks)


def no_better_than_ngram(run: RunHistory[Recipe]) -> Finding | None:
    """An n-gram model scores as well or better. That an interval includes a lower score is no finding."""
    scores = run.scores
    if scores is None or scores.rival is None or scores.reaches(scores.rival):
        return None
    if scores.higher and scores.score >= PERFECT:
        return None  # Both make no mistake: no other model could do better.
    if not scores.learned:
        return None
    return notable(
        "certain" if not scores.low <= scores.rival.score <= scores.high else "likely",
        f"It scores {scores.score:.3f} [{scores.low:.3f}, {scores.high:.3f}], and {scores.rival.words} "
        f"{scores.rival.score:.3f}.",
        "Counting words and their neighbours does as well as this model, in seconds.",
        PRETRAINED if run.fresh else Change(words="a larger pretrained model (--model)"),
    )
