"""The loss and the pace of a run, step by step: no number any more, a jump, half as fast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from bertkit.health.advice import calmer, grave, lower_rate, notable, steadier
from bertkit.health.watch import LEARNT, Watched
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import ENOUGH_STEPS, History, Step, Track, is_finetuning, mean, median

LOST = 1.1
"""Of the labels' entropy: a loss that was once well below, and stands above this, has lost what it had."""
BELOW = 5.0
"""Standard errors that a smoothed loss must go under the labels' entropy to show that something was learnt:
of ten thousand independent normal means the lowest lies about four below theirs."""
SWING = 10.0
"""Standard errors between the lowest and the highest that noise alone may make of a smoothed loss. Of
predictors that answer the labels' shares, 70 to 99 % of them one label, with 1 to 32 rows a batch, 3,000
steps of 20 seeds each swing by 6 to 8.8: losses of rare labels come in lulls and bursts."""
WORSE = 3.0
"""Of the labels' entropy: a loss above this is worse than any answer that knows the labels' shares."""
WINDOW = 15
"""Steps whose losses are taken together: their mean hardly sees one odd batch."""
JUMP = 0.5
"""Nats that such a mean stands above the lowest one before, beside what noise does. Of healthy runs with 32
rows a batch none reaches 0.3."""
CAME_BACK = 4.0
"""Standard errors within which a loss is where it was."""
MANY = 20
"""Windows whose differences have a median that a jump or two do not move."""
NORMAL = 1.05
"""Standard deviations in the median difference of two normal numbers: 1 over 0.6745 times the root of 2."""
SLOWED = 0.5
LONG = 300.0
"""Seconds. On a machine that does something else too, the pace of shorter runs says nothing."""


def not_a_number(watched: Watched) -> Finding | None:
    """The loss or the gradient is no longer a number."""
    if watched.broke is None:
        return None
    loss, norm = watched.broke
    if norm is None:
        seen, means = f"The loss is {loss:.3g} after step {watched.step}.", "The last update broke the model"
    else:
        seen = f"The loss is {loss:.3g} and its gradient norm {norm:.3g} in step {watched.step + 1}."
        means = "The update could not be made"
    return grave(
        "certain",
        seen,
        f"{means}: the weights had grown until a number overflowed, which is most often a learning rate that "
        "is too high.",
        *calmer(watched.setting),
    )


def diverged(run: History) -> Finding | None:
    """The loss stopped being a number, or a pretraining's rose so suddenly that it was stopped."""
    if is_finetuning(run):
        broken = [t for t in run.tracks if t.broke or (t.outcome and t.outcome.status == "diverged")]
        if not broken:
            return None
        step = min(track.broke.step if track.broke else track.last_step + 1 for track in broken)
        seen = f"The loss was no number any more at step {step:,}{of_seeds(run, broken)}."
    else:
        broke = run.track.broke
        if not run.track.broken and (run.finished or (broke is None and not run.stopped)):
            return None
        where = f"at step {broke.step:,}" if broke else "in the last evaluation"
        seen = run.stopped or f"The loss was no number any more {where}."
    kept = "; its scores are those of before" if is_finetuning(run) else ""
    return grave(
        "certain",
        seen,
        f"An update was so large that the model broke{kept}.",
        *steadier(run.recipe.optimiser, lower_rate(run.recipe)),
    )


def loss_rises(watched: Watched) -> Finding | None:
    """The smoothed loss stands far above what it was."""
    setting, now, lowest = watched.setting, watched.past.smoothed, watched.past.lowest
    if not math.isfinite(lowest):
        return None
    if setting.phase == "pretrain":
        rose = bool(setting.spike) and now > lowest + setting.spike
    else:
        rose = setting.baseline_loss is not None and _lost(watched, setting.baseline_loss)
    if not rose:
        return None
    began = watched.past.risen_at or watched.step
    return grave(
        "likely",
        f"The loss rose suddenly from step {began} on: smoothed it is {now:.3f} at step {watched.step}, "
        f"and it was {lowest:.3f}.",
        "What was learnt is lost: most often the learning rate is too high, or one update was far too large.",
        *calmer(watched.setting),
    )


def _lost(watched: Watched, prior: float) -> bool:
    """Whether a fine-tuning run stands over the labels' entropy, and it isn't the noise of its batches."""
    now, lowest, swing = watched.past.smoothed, watched.past.lowest, SWING * watched.past.noise
    # Upwards tails are long: with a label of one row in two hundred, bursts reach 10 standard errors.
    if now > max(WORSE * max(prior, lowest), prior + 2 * swing):
        return True
    had_learnt = lowest < min(LEARNT * prior, prior - BELOW * watched.past.noise) or any(
        each.beats_majority and each.loss < prior for each in watched.past.evaluations
    )
    return had_learnt and now > LOST * prior and now > lowest + swing


def stands_high(watched: Watched) -> bool:
    """Whether the loss stands over its lowest by more than noise explains."""
    rise, past = watched.setting.rise, watched.past
    if watched.setting.phase == "pretrain":
        return past.risen_at is not None  # By nats: no choice of a batch's many masked tokens does that.
    return bool(rise) and past.smoothed > past.lowest + max(rise, SWING * past.noise)


def loss_rose(run: History) -> Finding | None:
    """The training loss jumped far above what it was; whether it came back decides how much that matters."""
    for track in run.tracks:
        steps = [step for step in track.steps if math.isfinite(step.loss)]
        losses = [step.loss for step in steps]
        means = [mean(losses[i : i + WINDOW]) for i in range(0, len(losses) - WINDOW + 1, WINDOW)]
        if len(means) < 2:
            continue
        bottom, top = _rise(means)
        height, noise = means[top] - means[bottom], _noise(losses, means)
        # About what the range of so many normal means is, and two deviations more.
        limit = max(JUMP, (2 * math.sqrt(2 * math.log(len(means))) + 2) * noise)
        if not height > limit:
            continue
        onset = next(i for i in range(bottom, top + 1) if means[i] > means[bottom] + limit)
        before = median(means[max(0, bottom - 2) : onset])
        after = median(means[max(top + 1, len(means) - 3) :] or means[-1:])
        back = after < before + max(JUMP / 2, CAME_BACK * noise)
        return (notable if back else grave)(
            "certain",
            f"The training loss rose by {height:.2f} nats about step {steps[onset * WINDOW].step:,}"
            + (", and came back." if back else f", from {before:.3f}, and ended at {after:.3f}."),
            "Updates were too large there: time was lost." if back else "What had been learned is lost.",
            *steadier(run.recipe.optimiser, lower_rate(run.recipe)),
        )
    return None


def _rise(means: Sequence[float]) -> tuple[int, int]:
    """Where the highest rise begins and ends: at the lowest before its end, and at the highest."""
    bottom, found = 0, (0, 0)
    for index, value in enumerate(means):
        if value < means[bottom]:
            bottom = index
        if value - means[bottom] > means[found[1]] - means[found[0]]:
            found = bottom, index
    return found


def _noise(losses: Sequence[float], means: Sequence[float]) -> float:
    """Standard error of a window's mean, by differences of neighbours: those hardly see where a loss goes."""
    steps = math.sqrt(mean([(b - a) ** 2 for a, b in pairwise(losses)]) / 2 / WINDOW)
    if len(means) < MANY:
        return steps
    # Windows differ by more than their steps say where the rows of a window are of one kind.
    return max(steps, NORMAL * median([abs(b - a) for a, b in pairwise(means)]))


def slowed_down(run: History) -> Finding | None:
    """The pace fell by half. A run whose sequences become longer is judged until then."""
    for track in run.tracks:
        seconds = track.outcome.seconds if track.outcome else run.seconds
        usual = math.inf if run.long_from is None else run.long_from
        paces = [step.tokens_per_second for step in track.steps if step.step <= usual]
        quarter = len(paces) // 4
        if quarter < ENOUGH_STEPS or not seconds > LONG:
            continue
        first, last = median(paces[:quarter]), median(paces[-quarter:])
        if last < SLOWED * first:
            return notable(
                "possible",
                f"It began with {first:,.0f} tokens a second, and ended with {last:,.0f}.",
                "Something else used the machine, or it became hot, or ran out of memory.",
                Change(words="a look at what else runs there, and at its memory"),
            )
    return None


def gaps(steps: Sequence[Step]) -> list[tuple[int, int]]:
    """The stretches of steps that a log lacks, first and last of each."""
    pairs = pairwise([0, *(step.step for step in steps)])
    return [(before + 1, after - 1) for before, after in pairs if after > before + 1]


def of_seeds(run: History, some: Sequence[Track], word: str = "of") -> str:
    """Which seeds are meant, where there are several."""
    if len(run.tracks) == 1:
        return ""
    if len(some) == len(run.tracks):
        return f" {word} all {len(some)} seeds"
    names = ", ".join(str(seed.seed) for seed in some)
    return f" {word} {len(some)} of {len(run.tracks)} seeds ({names})"
