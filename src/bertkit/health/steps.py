"""The loss of a run step by step: it is no number any more, or rises."""

from __future__ import annotations

import math

from bertkit.health.advice import DURING, calmer
from bertkit.health.watch import LEARNT, Watched
from bertkit.runs.findings import Finding

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
    return Finding(
        "not_a_number",
        "grave",
        "certain",
        seen,
        f"{means}: the weights had grown until a number overflowed, which is most often a learning rate that "
        "is too high.",
        calmer(watched.setting),
        DURING,
    )


def loss_rises(watched: Watched) -> Finding | None:
    """The smoothed loss stands far above what it was."""
    setting, now, lowest = watched.setting, watched.smoothed_loss, watched.lowest_loss
    if not math.isfinite(lowest):
        return None
    if setting.phase == "pretrain":
        rose = bool(setting.spike) and now > lowest + setting.spike
    else:
        rose = setting.prior_entropy is not None and _lost(watched, setting.prior_entropy)
    if not rose:
        return None
    began = watched.risen_at or watched.step
    return Finding(
        "loss_rose",
        "grave",
        "likely",
        f"The loss rose suddenly from step {began} on: smoothed it is {now:.3f} at step {watched.step}, "
        f"and it was {lowest:.3f}.",
        "What was learnt is lost: most often the rate is too high, or one update was far too large.",
        calmer(watched.setting),
        DURING,
    )


def _lost(watched: Watched, prior: float) -> bool:
    """Whether a fine-tuning run stands over the labels' entropy, and it isn't the noise of its batches."""
    now, lowest, swing = watched.smoothed_loss, watched.lowest_loss, SWING * watched.noise
    # Upwards tails are long: with a label of one row in two hundred, bursts reach 10 standard errors.
    if now > max(WORSE * max(prior, lowest), prior + 2 * swing):
        return True
    had_learnt = lowest < min(LEARNT * prior, prior - BELOW * watched.noise) or any(
        each.beats_majority and each.loss < prior for each in watched.evaluations
    )
    return had_learnt and now > LOST * prior and now > lowest + swing


def stands_high(watched: Watched) -> bool:
    """Whether the loss stands over its lowest by more than noise explains."""
    rise = watched.setting.rise
    if watched.setting.phase == "pretrain":
        return watched.risen_at is not None  # By nats: no choice of a batch's many masked pieces does that.
    return bool(rise) and watched.smoothed_loss > watched.lowest_loss + max(rise, SWING * watched.noise)
