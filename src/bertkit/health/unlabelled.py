"""Pretraining: whether it learns to use the context, and whether it overfits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bertkit.health.advice import grave, notable, trainable
from bertkit.health.preflight import Preflight
from bertkit.health.watch import Watched
from bertkit.recipe import PretrainRecipe
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import THROUGH, Evaluation, RunHistory, mean

REPEATED = 40.0
"""Times the text, from which reading it again teaches next to nothing (Muennighoff et al. 2023, section 5);
BERT's own training read its text 40 times."""
FEW_UPDATES = 300
"""Of pretraining: even the demo's two small layers need more before they use the context."""
BUDGET_DOUBT = 4
"""How many times as many updates a budget may give as were estimated: from one process, on a busy machine."""
RISES = 0.1
"""Nats over its lowest at which a held-out loss has risen, in two evaluations."""
PATIENCE = 0.2
"""Share of a run after which one on the unigram plateau is called stuck, as while it trains."""
LOOK_BACK = 3
"""Evaluations over which is measured how fast a loss falls, as far as there are so many."""
HAIR = 0.02
"""Share over the line of the plateau at which the next evaluation may find a run below it."""
LAST = 0.3
"""Share of a run whose curve is fitted to say where it goes; of a linear decay this is where most is won."""
FEWEST_POINTS = 4
"""Points of a fit: with fewer their noise can't be told."""
SURE = 0.975
"""Quantile of the noise that a fit must exceed, one way."""
LEAST = 4.0
"""Independent points that count at least: a curve that bends leaves residuals alike without any noise."""
OVERFIT_BY = 0.05
"""Nats that a held-out loss may stand above its lowest before the run is said to overfit."""
OFTEN = 4.0
"""Times that a text can be read almost as if it were new each time (Muennighoff et al., arXiv 2305.16264)."""
HARDLY_TOLD = 0.55
"""Share of pairs told right below which the second objective counts as not learned; a judgement."""
ENOUGH_UPDATES = 1_000
"""That small models take through the unigram plateau; a run is told so before it begins, too."""
HEAD_UPDATES = 100
"""In which a new MLM head on a trained encoder learns how frequent tokens are: so long its loss stands on the
plateau, whatever the encoder knows."""
AT_THE_END = 20
"""Steps whose training losses are taken together."""
GAP = 0.1
"""Nats by which training must have drawn away from held-out text."""
STEEP = 0.25
"""Share of all that was won below the plateau that the last part of a run may win before it was surely cut
short: an hour on two cores, with the rate decaying to zero, wins a tenth there."""


@dataclass(frozen=True)
class Trend:
    """Where a curve goes at its end: `change` over the last `LAST` of a run, ± `margin`, a 95 % interval."""

    change: float
    margin: float

    @property
    def falls(self) -> bool:
        """Whether it goes down by more than its noise explains."""
        return self.change < -self.margin

    @property
    def rises(self) -> bool:
        """Whether it goes up by more than its noise explains."""
        return self.change > self.margin


def trend(steps: list[float], values: list[float]) -> Trend | None:
    """A straight line through the last `LAST` of a curve; None with fewer than `FEWEST_POINTS` points there.

    Neighbouring points of a curve err alike, so they count as fewer (Santer et al. 2000, "Statistical
    significance of trends and trend differences in layer-average atmospheric temperature time series",
    section 4): of n, n (1 - r) / (1 + r), where r is the correlation of neighbouring residuals.

    Args:
        steps: of the points, rising.
        values: as many; all are numbers.
    """
    begin = steps[-1] * (1 - LAST) if steps else 0.0
    points = [(step, value) for step, value in zip(steps, values, strict=True) if step >= begin]
    if len(points) < FEWEST_POINTS or points[-1][0] <= points[0][0]:
        return None
    from scipy import stats

    across, heights = zip(*points, strict=True)
    fit = stats.linregress(across, heights)
    residuals = [y - fit.intercept - fit.slope * x for x, y in points]
    count = _independent(residuals)
    # Points that lie on a line have no noise.
    noise = fit.stderr * math.sqrt((len(points) - 2) / (count - 2))
    width = across[-1] - across[0]
    return Trend(float(fit.slope * width), float(stats.t.ppf(SURE, count - 2) * noise * width))


def _independent(residuals: list[float]) -> float:
    """As how many independent ones they count."""
    squares = sum(each * each for each in residuals)
    count = len(residuals)
    if not squares > 0:
        return count
    alike = sum(one * other for one, other in pairwise(residuals)) / squares
    alike = min(max(alike, 0.0), 0.99)
    return max(count * (1 - alike) / (1 + alike), LEAST)


def heldout_trend(run: RunHistory[PretrainRecipe]) -> Trend | None:
    """Of the held-out loss."""
    scored = scored_after_start(run)
    return trend([float(each.step) for each in scored], [each.loss for each in scored])


def scored_after_start(run: RunHistory[PretrainRecipe]) -> list[Evaluation]:
    """The evaluations whose loss is a number, without the one before the first step."""
    return [each for each in run.track.evaluations if each.step and math.isfinite(each.loss)]


def gap_trend(run: RunHistory[PretrainRecipe]) -> Trend | None:
    """Of the held-out loss less the training loss since the evaluation before."""
    scored = scored_after_start(run)
    steps: list[float] = []
    values: list[float] = []
    before, place = 0, 0
    for each in scored:
        losses = []
        while place < len(run.track.steps) and run.track.steps[place].step <= each.step:
            if run.track.steps[place].step > before:
                losses.append(run.track.steps[place].loss)
            place += 1
        before = each.step
        if math.isfinite(mean(losses)):
            steps.append(float(each.step))
            values.append(each.loss - mean(losses))
    return trend(steps, values)


def nearly_through(scored: Sequence[tuple[int, float]], unigram: float, share: float) -> bool:
    """Whether a loss that falls as it does now is through the plateau by the run's end, or soon after it.

    Of 15 runs, those of the studies and an hour on two cores, the rule is silent on all that come through or
    end a hair above the line, and speaks of the eight others, of each before 0.6 of it is done.

    Args:
        scored: step and held-out loss of each evaluation after the first step, in order.
        unigram: loss in nats of predicting token frequencies.
        share: of the run that is done, over 0.
    """
    if len(scored) < 2:
        return False
    (before, higher), (now, loss) = scored[-1 - LOOK_BACK :][0], scored[-1]
    to_come = now * max((1 - share) / share, LAST)
    return now > before and loss - (higher - loss) / (now - before) * to_come < THROUGH * unigram


def soon_through(run: RunHistory[PretrainRecipe]) -> bool:
    """Whether a run that is on the plateau is on its way through: see `nearly_through`."""
    scored = [(each.step, each.loss) for each in scored_after_start(run)]
    unigram = math.nan if run.floor is None else run.floor
    return run.share_done(run.track) > 0 and nearly_through(scored, unigram, run.share_done(run.track))


def too_early(run: RunHistory[PretrainRecipe]) -> bool:
    """Whether the loss tells of a new head alone, and nothing of the trained encoder below it."""
    return not run.fresh and 0 < run.track.last_step < HEAD_UPDATES


def last_training_loss(run: RunHistory[PretrainRecipe]) -> float:
    """Mean of the last steps, for one alone is noise; NaN without any."""
    return mean([step.loss for step in run.track.steps[-AT_THE_END:]])


def few_updates(record: Preflight) -> Finding | None:
    """Pretraining from fresh weights ends before it can have learnt to use the context."""
    asked, corpus = record.asked, record.corpus
    likely = asked.steps * (BUDGET_DOUBT if asked.budget_minutes else 1)
    if corpus is None or not asked.fresh or not 0 < likely < FEW_UPDATES:
        return None
    changes = [Change("batch.tokens", max(asked.max_length, corpus.tokens_a_step // 4))]
    if not asked.budget_minutes:
        changes.insert(0, Change("training.steps", ENOUGH_UPDATES))
    return notable(
        "likely",
        f"The run has about {asked.steps:,} updates of {corpus.tokens_a_step:,} tokens.",
        "From fresh weights the first hundreds only learn how often each token occurs.",
        *changes,
        read="docs/pretraining.md",
    )


def stays_on_plateau(watched: Watched) -> Finding | None:
    """A pretraining run that isn't through the unigram plateau though much of it is done."""
    setting, unigram = watched.setting, watched.setting.baseline_loss
    # That before the first step says nothing of what was learnt.
    scored = [evaluation for evaluation in watched.past.evaluations if evaluation.step]
    if unigram is None or not scored:
        return None
    loss = scored[-1].loss
    if watched.past.through_at is not None or loss < THROUGH * unigram or watched.fraction < PATIENCE:
        return None
    if nearly_through([(each.step, each.loss) for each in scored], unigram, watched.fraction):
        return None
    if setting.trained and watched.step < HEAD_UPDATES:
        return None
    planned = round(watched.step / watched.fraction)
    few = planned < ENOUGH_UPDATES
    changes = [Change(words=f"more steps: {planned:,} are few" if few else "more steps")]
    if setting.model.positions != "rotary" and not setting.trained:
        changes.insert(few, Change("model.options.positions", "rotary"))
    return grave(
        "possible",
        f"The loss {loss:.3f} is stuck on the unigram plateau ({unigram:.3f}; uniform guessing "
        f"gives {setting.uniform:.3f}) after {watched.fraction:.0%} of the run.",
        "The model has hardly learnt to use the context.",
        *changes,
        read="docs/pretraining.md",
    )


def plateau(run: RunHistory[PretrainRecipe]) -> Finding | None:
    """The loss never left that of token frequencies, and is not about to."""
    if run.through_at is not None or run.share_done(run.track) < PATIENCE or run.floor is None:
        return None
    if run.stopped or run.track.broken or run.track.broke is not None or soon_through(run):
        return None
    if too_early(run):
        return None
    scored = scored_after_start(run)
    loss = scored[-1].loss if scored else last_training_loss(run)
    if not loss >= THROUGH * run.floor:
        return None
    near = loss < (1 + HAIR) * THROUGH * run.floor
    few = 0 < (run.planned(run.track) or run.track.last_step) < ENOUGH_UPDATES
    return (notable if near else grave)(
        "certain" if run.finished and not near else "likely",
        f"After {run.track.last_step:,} steps the loss is {loss:.3f}; predicting the token frequencies "
        f"gives {run.floor:.3f}.",
        "The model has hardly learned to use the context, and will help little.",
        # Few steps come first, and with what helps beside them; many have had their chance.
        *(_longer(run, 4, least=ENOUGH_UPDATES) if few else ()),
        *trainable(run.recipe.model),
        *(() if few else _longer(run, 4)),
    )


def text_repeated(record: Preflight) -> Finding | None:
    """Pretraining reads the same text very often."""
    corpus = record.corpus
    if corpus is None or corpus.epochs <= REPEATED:
        return None
    return notable(
        "likely",
        f"The run reads its {corpus.train_tokens:,} tokens {corpus.epochs:.0f} times.",
        "The more often the same text is read the less it teaches: four times are nearly as good as "
        "new text, forty times teach little more.",
        Change("training.steps", round(record.asked.steps * REPEATED / corpus.epochs)),
        Change(words="prepare more text, or train a smaller model"),
        read="arXiv 2305.16264",
    )


def starved_of_data(run: RunHistory[PretrainRecipe]) -> Finding | None:
    """The text was read so often that training draws away from held-out text, which does not rise yet."""
    gap, curve = gap_trend(run), heldout_trend(run)
    if gap is None or not (run.epochs > OFTEN and gap.rises and gap.change > GAP) or (curve and curve.rises):
        return None
    return notable(
        "likely",
        f"The run read its text {run.epochs:.1f} times, and over its last part the training loss drew "
        f"{gap.change:.2f} nats away from the held-out loss.",
        "More of the same steps overfit this text; more text would teach the language.",
        Change(words=f"at least {math.ceil(run.epochs / OFTEN)} times the text"),
    )


def starved_of_steps(run: RunHistory[PretrainRecipe]) -> Finding | None:
    """The run ended in the middle of its steepest part."""
    curve = heldout_trend(run)
    if not run.finished or not run.through_at or curve is None or run.floor is None:
        return None
    won = run.floor - scored_after_start(run)[-1].loss
    if not won > 0 or not -curve.change - curve.margin > STEEP * won:
        return None
    return notable(
        "likely",
        f"The last {LAST:.0%} of the run won {-curve.change:.2f} of the {won:.2f} nats below the plateau of "
        f"token frequencies, which it left by step {run.through_at:,} of {run.track.last_step:,}.",
        "The run ended where it learned fastest: the same recipe with more steps comes much further.",
        *_longer(run, 2),
    )


def heldout_rises(watched: Watched) -> Finding | None:
    """The held-out loss of a pretraining run rises again."""
    losses = [evaluation.loss for evaluation in watched.past.evaluations]
    if len(losses) < 3:
        return None
    lowest = min(losses)
    if min(losses[-2:]) < lowest + RISES:
        return None
    return notable(
        "likely",
        f"The held-out loss {losses[-1]:.3f} has risen from {lowest:.3f} in two evaluations.",
        "The model begins to overfit the text.",
        Change(words="more text"),
        Change(words="fewer steps"),
        read="docs/pretraining.md",
    )


def heldout_rose(run: RunHistory[PretrainRecipe]) -> Finding | None:
    """At its end the held-out loss rises, by more than its noise."""
    scored, curve = scored_after_start(run), heldout_trend(run)
    if curve is None or not curve.rises:
        return None
    lowest = min(scored, key=lambda each: each.loss)
    if scored[-1].loss < lowest.loss + OVERFIT_BY:
        return None
    read = f"; the text was read {run.epochs:.1f} times" if math.isfinite(run.epochs) else ""
    changes = [Change(words="more text")]
    if run.recipe.training.steps:
        changes.insert(0, Change("training.steps", lowest.step))
    return notable(
        "certain",
        f"The held-out loss was {lowest.loss:.3f} after step {lowest.step:,} and ends at "
        f"{scored[-1].loss:.3f}{read}.",
        "The model began to overfit its text: what it won since then holds for no other text.",
        *changes,
    )


def nothing_won(run: RunHistory[PretrainRecipe]) -> Finding | None:
    """A trained model went on training, and is no better for it."""
    if not run.finished or run.through_at != 0 or len(run.track.evaluations) < 2:
        return None
    before, after = run.track.evaluations[0].loss, run.track.evaluations[-1].loss
    if not after >= before:
        return None
    return notable(
        "likely",
        f"The model began with a held-out loss of {before:.3f} on this text, and ends with {after:.3f}.",
        "More training has won nothing: the learning rate was too high, or the steps were too few.",
        Change("optimiser.lr", run.recipe.optimiser.lr / 3),
        *_longer(run, 2),
    )


def pairs_at_chance(run: RunHistory[PretrainRecipe]) -> Finding | None:
    """Whether two segments belong together is told no better than by a coin."""
    told = pairs_interval(run)
    if told is None or run.through_at is None or run.share_done(run.track) < 0.5:
        return None
    right, low, high = told
    # Few pairs leave an interval that includes a half whatever the model knows: that is no finding.
    if high >= HARDLY_TOLD:
        return None
    return notable(
        "likely",
        f"{right:.1%} of the held-out pairs are told right [{low:.1%}, {high:.1%}]; a coin gives 50 %.",
        f"The second objective ({run.recipe.objective.pairs}) has taught nothing, and costs a part of each "
        "sequence's context.",
        Change("objective.pairs", "none"),
    )


def pairs_interval(run: RunHistory[PretrainRecipe]) -> tuple[float, float, float] | None:
    """The share of held-out pairs told right at the end, with its 95 % interval; None without pairs.

    Logs that do not say how many there were had at least as many as long sequences fit into the text.
    """
    from bertkit.tasks.metrics import wilson_interval

    last = next((each for each in reversed(run.track.evaluations) if math.isfinite(each.pair_accuracy)), None)
    if last is None or not 0 <= last.pair_accuracy <= 1:
        return None
    least = run.recipe.training.heldout_tokens / run.recipe.batch.length
    count = max(1, int(last.pairs if math.isfinite(last.pairs) else least))
    low, high = wilson_interval(last.pair_accuracy * count, count)
    return last.pair_accuracy, low, high


def learning_rate_never_decayed(run: RunHistory[PretrainRecipe]) -> Finding | None:
    """A run that is done kept its rate to the end."""
    if not run.finished or run.through_at is None or run.recipe.optimiser.schedule != "constant":
        return None
    return notable(
        "likely",
        f"The learning rate stayed at {run.recipe.optimiser.lr:g} to the end.",
        "The updates at a falling learning rate are those that win most for their time (Hägele et al., arXiv "
        "2405.18392); this run has not had them.",
        Change("optimiser.schedule", "linear"),
    )


def _longer(run: RunHistory[PretrainRecipe], times: int, least: int = 0) -> tuple[Change, ...]:
    training = run.recipe.training
    if training.steps:
        return (Change("training.steps", max(times * training.steps, least)),)
    if training.budget:
        return (Change("training.budget", times * training.budget),)
    return (Change(words=f"{times} times the steps"),)
