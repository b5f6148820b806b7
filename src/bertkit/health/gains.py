"""What keeps a run that learns from labelled rows from more: its length, its rate, its seeds, its rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from bertkit.health.advice import PRETRAINED, WARMUP, longer, notable
from bertkit.health.labelled import some_stuck
from bertkit.health.steps import LOST, of_seeds
from bertkit.health.watch import Watched
from bertkit.recipe import Recipe
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import Evaluation, Outcome, RunHistory, Track, mean, numbers

ROWS_KNOWN = 0.3
"""Of the labels' entropy: a training loss below this knows its rows."""
DEV_ROSE = 1.25
"""Times its lowest, where a dev loss has risen. That of runs whose score still rises reaches 1.4 times: alone
it is no finding."""
TAKEN_IN = 0.75
"""Share of the baseline loss below which a training loss has taken in the rows."""
EARLY = 0.5
"""Share of a run's epochs by which the best one came early."""
FALLS = 0.03
"""Share of its dev loss that a last epoch takes off where more of them are surely worth it."""
WIDE_INTERVAL = 0.2
"""Half an interval, as a share of the way from always answering the majority to no mistake at all."""
POWER = ((1.96 + 0.84) / 1.96) ** 2
"""Times the rows whose half interval is a difference that tell it four times in five, and not one in two:
normal quantiles of 0.975 and 0.8."""
APART = 0.05
"""Two deviations between seeds that matter, in points of the score: on large dev sets any two seeds differ by
more than the rows' interval."""
FEWEST_SEEDS = 3
"""Two can't tell luck from unsteadiness."""
HIGH = 0.3
"""Share of its highest at which a rate has not decayed."""


def overfits(watched: Watched) -> Finding | None:
    """The training rows are known, and nothing of it holds for the dev rows."""
    prior, evaluations = watched.setting.baseline_loss, watched.past.evaluations
    if prior is None or len(evaluations) < 2:
        return None
    now = evaluations[-1]
    if now.train_loss > ROWS_KNOWN * prior or now.loss < LOST * prior:
        return None
    if any(evaluation.beats_majority for evaluation in evaluations):
        return None
    return notable(
        "likely",
        f"The training loss is {now.train_loss:.3f} and the dev loss {now.loss:.3f}, above the baseline "
        f"loss ({prior:.3f}); no evaluation has beaten the baseline that reads no text.",
        "The model overfits: it has memorised its rows, and learned nothing that holds for others.",
        Change(words="more rows"),
        *(() if watched.setting.trained else (PRETRAINED,)),
    )


def overfitting(run: RunHistory[Recipe]) -> Finding | None:
    """It overfits: the dev loss rises and the score falls for most of the run."""
    lost = [seed for seed in run.tracks if _by_heart(run, seed)]
    if 2 * len(lost) <= len(run.tracks):
        return None
    best = mean([_best(seed.evaluations).place for seed in lost])
    first, last = _lowest_and_last(lost)
    training = run.recipe.training
    shorter = training.epochs > best and not training.budget
    changes = [Change("training.epochs", max(1, round(best)))] if shorter else []
    if run.recipe.head.dropout == 0:
        changes.append(Change("head.dropout", 0.1))
    changes.append(PRETRAINED if run.fresh else Change(words="more labelled rows"))
    return notable(
        "certain",
        f"The best epoch is {round(best, 1):g} of {round(lost[0].place, 1):g}{of_seeds(run, lost, 'in')}; "
        f"the dev loss rises from {first:.3f} to {last:.3f} while the training loss falls.",
        "From there on the model overfits, and the score falls. The best epoch is the one "
        "kept, but at a learning rate that had not come down yet.",
        *changes,
    )


def _by_heart(run: RunHistory[Recipe], seed: Track) -> bool:
    scored = seed.evaluations
    if len(scored) < 3 or seed.broke is not None:
        return False
    known = run.floor if run.floor is not None else scored[0].train_loss
    best, lowest = _best(scored), min(each.loss for each in scored)
    return (
        scored[-1].train_loss < TAKEN_IN * known
        and scored[-1].loss > DEV_ROSE * lowest
        and best.place <= EARLY * scored[-1].place
        and scored[-1].value < best.value
    )


def _best(scored: Sequence[Evaluation]) -> Evaluation:
    return max(scored, key=lambda each: each.value if math.isfinite(each.value) else -math.inf)


def _lowest_and_last(seeds: Sequence[Track]) -> tuple[float, float]:
    """Dev loss, mean over seeds."""
    return (
        mean([min(each.loss for each in seed.evaluations) for seed in seeds]),
        mean([seed.evaluations[-1].loss for seed in seeds]),
    )


def too_short(run: RunHistory[Recipe]) -> Finding | None:
    """At its end the dev loss was still falling fast."""
    if any(seed.outcome is None or len(seed.evaluations) < 2 for seed in run.tracks) or not run.tracks:
        return None
    falls = [_last_fall(seed.evaluations) for seed in run.tracks]
    if statistics.median(falls) < FALLS or some_stuck(run):
        return None
    return notable(
        "likely",
        f"The last epoch is the best one, and took {statistics.median(falls):.0%} off the dev loss.",
        "It was still learning what holds for other rows when it ended.",
        *longer(run.recipe.training, 2),
    )


def _last_fall(scored: Sequence[Evaluation]) -> float:
    """The share that the last evaluation took off the lowest dev loss before; 0 where it is not the best one,
    or where the training loss has gone far below.
    """
    before, last = min(each.loss for each in scored[:-1]), scored[-1]
    if _best(scored) is not last or not last.train_loss > 0.9 * last.loss or not before > 0:
        return 0.0
    return max(0.0, 1 - last.loss / before)


def seeds_disagree(run: RunHistory[Recipe]) -> Finding | None:
    """Seeds differ by more than the dev rows' own uncertainty, with none of them lost."""
    outcomes = [seed.outcome for seed in run.tracks if seed.outcome is not None]
    if len(outcomes) < FEWEST_SEEDS or _some_lost(run, outcomes):
        return None
    if run.scores is not None and not run.scores.higher:  # Errors have the unit of what they are of.
        return None
    deviation = statistics.stdev(outcome.score for outcome in outcomes)
    half = mean(
        [(best.high - best.low) / 2 for s in run.tracks if s.evaluations for best in [_best(s.evaluations)]]
    )
    # Few seeds tell little of their own deviation: the lower end of its 95 % interval must be too large.
    from scipy import stats

    few = len(outcomes) - 1
    least = deviation * math.sqrt(few / float(stats.chi2.ppf(0.975, few)))
    if not 2 * least > max(half, APART):
        return None
    optimiser, scores = run.recipe.optimiser, [outcome.score for outcome in outcomes]
    changes = [Change("optimiser.lr", optimiser.lr / 2)]
    if not run.recipe.training.steps:
        changes += [replace(change, together=False) for change in longer(run.recipe.training, 2)]
    if optimiser.warmup < WARMUP / 2:
        changes.insert(0, Change("optimiser.warmup", WARMUP))
    return notable(
        "likely",
        f"The seeds' scores go from {min(scores):.3f} to {max(scores):.3f}, a deviation of {deviation:.3f}, "
        f"where the dev rows alone leave ±{half:.3f}.",
        "Training is unsteady: what a seed comes to is luck (Mosbach et al., arXiv 2006.04884).",
        *changes,
    )


def _some_lost(run: RunHistory[Recipe], outcomes: Sequence[Outcome]) -> bool:
    return some_stuck(run) or any(outcome.status in ("collapsed", "diverged") for outcome in outcomes)


def dev_too_small(run: RunHistory[Recipe]) -> Finding | None:
    """So few dev rows that a score above a baseline can't be told from it."""
    scores = run.scores
    if scores is None or scores.blind is None or not scores.higher:
        return None
    baselines = [each.score for each in (scores.blind, scores.rival) if each is not None]
    rivals = [each for each in baselines if scores.low <= each < scores.score]
    half, room = (scores.high - scores.low) / 2, 1 - scores.blind.score
    if not rivals or not room > 0 or not half / room > WIDE_INTERVAL:
        return None
    # Of several seeds the interval holds their luck too, which more rows do not narrow.
    rows = math.ceil(POWER * scores.rows * (half / (scores.score - max(rivals))) ** 2)
    told = (
        ""
        if len(run.tracks) != 1
        else f"; about {rows:,} would tell a difference of this size four times in five"
    )
    more = "more dev rows" if len(run.tracks) != 1 else f"about {rows:,} dev rows"
    return notable(
        "certain",
        f"{scores.rows:,} dev rows leave the score between {scores.low:.3f} and {scores.high:.3f}, where "
        f"a baseline's {max(rivals):.3f} lies too.",
        f"These rows can't say which is better{told}.",
        Change(words=more),
    )


def learning_rate_not_decayed(run: RunHistory[Recipe]) -> Finding | None:
    """The run ended, and its score had begun to fall, while its rate was still high."""
    seeds = [seed for seed in run.tracks if seed.outcome and seed.broke is None and len(seed.evaluations) > 1]
    high = [seed for seed in seeds if _ended_high(seed)]
    if not high or 2 * len(high) <= len(run.tracks) or some_stuck(run):
        return None
    constant = run.recipe.optimiser.schedule == "constant"
    done = max(1, math.ceil(mean([seed.place for seed in high])))
    changes = [Change("optimiser.schedule", "linear")] if constant else [Change("training.epochs", done)]
    as_asked = run.recipe.training.budget or done == run.recipe.training.epochs
    return notable(
        "possible",
        f"The run ended with a learning rate of {high[0].steps[-1].learning_rate:.1g}, "
        f"{high[0].steps[-1].learning_rate / _highest(high[0]):.0%} of its highest"
        + (", and a score below its best." if constant else ": it was ended before its schedule was."),
        "The last updates, at a learning rate near zero, settle a model. This one has not had them.",
        *tuple(change for change in changes if constant or not as_asked),
    )


def _ended_high(seed: Track) -> bool:
    last, best = seed.evaluations[-1], _best(seed.evaluations)
    return (
        last.value < best.value and bool(seed.steps) and seed.steps[-1].learning_rate > HIGH * _highest(seed)
    )


def _highest(seed: Track) -> float:
    return max(numbers([step.learning_rate for step in seed.steps]), default=math.inf)
