"""A run that is lost: its loss is no number or has risen, its gradient is gone, all its inputs are alike."""

from __future__ import annotations

import math

from bertkit.health.advice import FRESH_RATE, TRAINED_RATE, WARMUP, steadier
from bertkit.health.watch import LEARNT, VANISHED, Watched
from bertkit.recipe import OWN_RATES
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import Health

READ = "docs/doctor.md#during-a-run"
EARLIEST = 20
"""Updates before which nothing is said of a run but that its loss is no number, and no state of it counts as
good: a rate that is too high destroys a model within the first ten, and what that does shows later."""
DOUBTFUL = 1e-2
"""Of its greatest norm, what is left of a gradient that may be vanishing; also a spread that may be lost."""
SPARED = 0.1
"""A layer's gradient has vanished only where the head's has fallen so much less: else all is learnt."""
ALIKE = 1e-3
"""Spread of `[CLS]` vectors that are all the same. Measured as `VANISHED`: 5e-4 by step 10, 4e-5 by step 100,
and never under 2e-2."""
FALLEN = 0.05
"""Of its first value, what is left of a spread that was lost."""
DWINDLED = 0.5
"""The same of a spread that may be lost: those of small models begin small."""
HOT = 3e-3
"""Update of a layer over its weights that is too much: about 1e-3 is usual; the article's first is 1e-2."""
ROSE = 1.1
"""Of the labels' entropy: a loss that was once well below, and stands above this, has lost what it had."""
BELOW = 5.0
"""Standard errors that a smoothed loss must go under the labels' entropy to show that something was learnt:
of ten thousand independent normal means the lowest lies about four below theirs."""
SWING = 10.0
"""Standard errors between the lowest and the highest that noise alone may make of a smoothed loss. Of
predictors that answer the labels' shares, 70 to 99 % of them one label, with 1 to 32 rows a batch, 3,000
steps of 20 seeds each swing by 6 to 8.8: losses of rare labels come in lulls and bursts."""
EXPLODED = 3.0
"""Of the labels' entropy: a loss above this is worse than any answer that knows the labels' shares."""
POST_NORM_RATE = 1e-4
"""Devlin et al. 2018, appendix A.2: the paper's own rate, with warm-up, of fresh post-norm weights."""


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
        calmer(watched),
        READ,
    )


def loss_rose(watched: Watched) -> Finding | None:
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
        calmer(watched),
        READ,
    )


def _lost(watched: Watched, prior: float) -> bool:
    """Whether a fine-tuning run stands over the labels' entropy, and it isn't the noise of its batches."""
    now, lowest, swing = watched.smoothed_loss, watched.lowest_loss, SWING * watched.noise
    # Upwards tails are long: with a label of one row in two hundred, bursts reach 10 standard errors.
    if now > max(EXPLODED * max(prior, lowest), prior + 2 * swing):
        return True
    had_learnt = lowest < min(LEARNT * prior, prior - BELOW * watched.noise) or any(
        each.beats_majority and each.loss < prior for each in watched.evaluations
    )
    return had_learnt and now > ROSE * prior and now > lowest + swing


def gradient_vanished(watched: Watched) -> Finding | None:
    """The lowest layer gets no gradient any more, while nothing was learnt."""
    looks = [look for look in watched.looks if look.gradient_norms][-2:]
    layer = lowest_layer(watched)
    if watched.learnt or watched.step < EARLIEST or len(looks) < 2 or layer is None:
        return None
    if not all(_share_left(watched, look, layer) < VANISHED for look in looks):
        return None
    now = looks[-1]
    if _share_left(watched, now, layer) > SPARED * _share_left(watched, now, "head"):
        return None
    peak = watched.peaks[layer]
    hot = _is_hot(watched)
    return Finding(
        "gradient_vanished",
        "grave",
        "likely" if hot else "possible",
        f"The gradient of {layer} fell from {peak.norm:.2g} in step {peak.step} to "
        f"{now.gradient_norms[layer]:.1g} in step {now.step}, at {at_rate(watched)}.",
        _cause(watched) if hot else "Nothing below the head learns any more.",
        calmer(watched),
        READ,
    )


def inputs_alike(watched: Watched) -> Finding | None:
    """All inputs have the same vector, while nothing was learnt."""
    looks = [look for look in watched.looks if look.cls_spread is not None]
    first, last = looks[:1], looks[1:][-2:]
    if watched.setting.phase != "finetune" or watched.learnt or watched.step < EARLIEST or len(last) < 2:
        return None
    begun, spreads = first[0].cls_spread or 0.0, [look.cls_spread or 0.0 for look in last]
    # Of copies of one text the spread is 0 from the first step on, and has not fallen.
    if max(spreads) > ALIKE or max(spreads) >= FALLEN * begun:
        return None
    return Finding(
        "inputs_alike",
        "grave",
        "likely",
        f"The [CLS] vectors of different inputs are all alike: their spread fell from {begun:.2g} to "
        f"{spreads[-1]:.1g} by step {last[-1].step}, at {at_rate(watched)}.",
        _cause(watched) if _is_hot(watched) else "The head can't tell inputs apart, whatever it learns.",
        calmer(watched),
        READ,
    )


def doubtful(watched: Watched) -> bool:
    """Whether the newest look alone shows signs of a collapse, with room to spare."""
    if watched.learnt:
        return _stands_high(watched)
    layer = lowest_layer(watched)
    look = watched.looks[-1] if watched.looks else None
    if look is None or watched.step < EARLIEST:
        return False
    faint = layer is not None and bool(look.gradient_norms) and _share_left(watched, look, layer) < DOUBTFUL
    begun = next((seen.cls_spread for seen in watched.looks if seen.cls_spread is not None), 0.0)
    alike = look.cls_spread is not None and look.cls_spread < min(DOUBTFUL, DWINDLED * begun)
    return faint or alike or _stands_high(watched)


def _stands_high(watched: Watched) -> bool:
    """Whether the loss stands over its lowest by more than noise explains."""
    rise = watched.setting.rise
    if watched.setting.phase == "pretrain":
        return watched.risen_at is not None  # By nats: no choice of a batch's many masked pieces does that.
    return bool(rise) and watched.smoothed_loss > watched.lowest_loss + max(rise, SWING * watched.noise)


def lowest_layer(watched: Watched) -> str | None:
    """The lowest layer that has had a gradient."""
    return next((name for name in watched.peaks if name.startswith("layer ")), None)


def calmer(watched: Watched) -> tuple[Change, ...]:
    """What makes training steadier, all together: a lower rate, and warm-up and clipping where they lack."""
    setting = watched.setting
    rate = setting.optimiser.lr / 3
    if setting.phase == "finetune" and setting.optimiser.name not in OWN_RATES:
        # Of a rate that is far too high a third is too.
        rate = min(rate, TRAINED_RATE if setting.trained else FRESH_RATE)
    if setting.model.norm == "post" and not setting.trained:
        rate = min(rate, POST_NORM_RATE)
    return steadier(setting.optimiser, float(f"{rate:.0e}"))


def at_rate(watched: Watched) -> str:
    """The rate and the warm-up, in words."""
    optimiser = watched.setting.optimiser
    if not optimiser.warmup:
        return f"lr {optimiser.lr:g} without warm-up"
    return f"lr {optimiser.lr:g} with {optimiser.warmup:.0%} of warm-up"


def _is_hot(watched: Watched) -> bool:
    """Whether some update moved a layer of the encoder too far."""
    return any(
        ratio > HOT
        for look in watched.looks
        for layer, ratio in look.update_ratios.items()
        if layer.startswith("layer ")
    )


def _cause(watched: Watched) -> str:
    setting = watched.setting
    if setting.model.norm == "post" and setting.optimiser.warmup < WARMUP / 2:
        return (
            "The run has collapsed: the rate is too high for a model with its norms behind the parts "
            "(post-norm) without warm-up, whose first updates destroy it (Xiong et al., arXiv 2002.04745)."
        )
    return "The run has collapsed: the rate is too high, and the first updates have destroyed the model."


def _share_left(watched: Watched, look: Health, layer: str) -> float:
    """Of the greatest gradient norm of a layer, what a look saw; 1 where the layer never had any."""
    peak = watched.peaks.get(layer)
    return look.gradient_norms.get(layer, 0.0) / peak.norm if peak else 1.0
