"""Whether a signal goes through the layers, both ways: gradients, updates, and how far inputs differ.

Untrained weights see inputs alike, and a small gradient alone is no fault. So a check of a run that trains
compares it with its own past, asks for two looks that agree, and is silent where something was learnt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from bertkit.health.advice import (
    FRESH_RATE,
    TRAINED_RATE,
    WARMUP,
    calmer,
    grave,
    lower_rate,
    notable,
    steadier,
    trainable,
    usual_rate,
)
from bertkit.health.preflight import Preflight
from bertkit.health.start import broken_at_start
from bertkit.health.steps import stands_high
from bertkit.health.watch import EARLIEST, VANISHED, Watched
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import ENOUGH_STEPS, THROUGH, Health, History, Step, Track, mean, median

LOPSIDED = 1e-3
"""Gradient of the first layer over that of the last, or the other way round, at which one of them is lost.
Healthy models have 0.1 to 10 at the start."""
ALIKE_AT_START = 1e-5
"""Spread of the last layer's [CLS] vectors that is hardly more than float32's rounding. Usual fresh models
have 0.01 to 0.2 and learn with 0.001 too, trained ones have 0.3 and more."""
DOUBTFUL = 1e-2
"""Of its greatest norm, what is left of a gradient that may be vanishing; also a spread that may be lost."""
SPARED = 0.1
"""A layer's gradient has vanished only where the head's has fallen so much less: else all is learnt."""
EXPLODED = 100.0
"""Times its first size. Where a model overfits, gradients of healthy runs grow twelvefold."""
ALL_ALIKE = 1e-3
"""Spread of `[CLS]` vectors that are all the same. Measured as `VANISHED`: 5e-4 by step 10, 4e-5 by step 100,
and never under 2e-2."""
SPREAD_LOST = 0.05
"""Of its first value, what is left of a spread that was lost."""
DWINDLED = 0.5
"""The same of a spread that may be lost: those of small models begin small."""
HOT = 3e-3
"""Update of a layer over its weights that is too much: about 1e-3 is usual; the article's first is 1e-2."""
STILL = 1e-6
"""Update over weights that fp32 hardly notices."""
DEAD_SHARE = 0.95
ONE_PLACE = 0.02
"""Of the most that the entropy of attention can be: far below 0.6, the least seen in runs that learn."""


def gradient_begins_lopsided(record: Preflight) -> Finding | None:
    """The gradient of the first step is lost, or explodes, between the last layer and the first."""
    norms = {name: norm for name, norm in record.start.gradient_norms.items() if name.startswith("layer ")}
    if len(norms) < 2 or broken_at_start(record):
        return None
    bottom, *_, top = norms.values()
    if top and LOPSIDED < bottom / top < 1 / LOPSIDED:
        return None
    lost = not top or bottom / top <= LOPSIDED
    changes: tuple[Change, ...] = ()
    if record.asked.fresh:
        changes = (Change("model.options.norm", "pre"),) * (record.asked.norm == "post")
        changes += (Change("model.options.layers", 2),) * (record.asked.layers > 2)
    return grave(
        "likely",
        f"At the first step the gradient norm is {bottom:.1e} in the first layer and {top:.1e} in the last.",
        "The lower layers hear nothing of the answers." if lost else "The lower layers will be torn about.",
        *changes,
        read="arXiv 2002.04745",
    )


def gradient_vanishes(watched: Watched) -> Finding | None:
    """The lowest layer gets no gradient any more, while nothing was learnt."""
    looks, layer = _two_looks(watched, "gradient_norms"), _lowest_layer(watched)
    if not looks or layer is None or not all(_share_left(watched, look, layer) < VANISHED for look in looks):
        return None
    now = looks[-1]
    if _share_left(watched, now, layer) > SPARED * _share_left(watched, now, "head"):
        return None
    peak = watched.past.peaks[layer]
    hot = _is_hot(watched)
    return grave(
        "likely" if hot else "possible",
        f"The gradient of {layer} fell from {peak.norm:.2g} in step {peak.step} to "
        f"{now.gradient_norms[layer]:.1g} in step {now.step}, at {_at_rate(watched)}.",
        _cause(watched) if hot else "Nothing below the head learns any more.",
        *calmer(watched.setting),
    )


def gradient_vanished(run: History) -> Finding | None:
    """The gradient fell to nothing while the loss stayed high."""
    found = next((told for track in run.tracks if (told := _vanished(run, track)) is not None), None)
    if found is None:
        return None
    return grave(
        "certain",
        f"{found} while the loss stayed high.",
        "Updates no longer change anything: the first ones were too large, and nothing passes any more.",
        *(steadier(run.recipe.optimiser, usual_rate(run.recipe)) + trainable(run.recipe.model)),
    )


def _vanished(run: History, track: Track) -> str | None:
    """How the gradient fell, by layer where that was measured."""
    steps = track.steps
    if len(steps) < ENOUGH_STEPS or not _is_high(run, steps):
        return None
    looks = [look for look in track.health if look.gradient_norms]
    for layer in looks[-1].gradient_norms if len(looks) > 2 else ():
        norms = [look.gradient_norms.get(layer, math.nan) for look in looks]
        peak, last = max(norms[:-2]), max(norms[-2:])
        if layer != "head" and last < VANISHED * peak:
            return f"The gradient of {layer} fell from {peak:.2g} to {last:.1g}"
    norms = [step.gradient_norm for step in steps]
    first, last = median(norms[:5]), median(norms[-len(norms) // 5 :])
    return f"The gradient norm fell from {first:.2g} to {last:.1g}" if last < VANISHED * first else None


def _is_high(run: History, steps: Sequence[Step]) -> bool:
    """Whether the loss at the end is so high that there must be a gradient."""
    share = 0.5 if run.phase == "finetune" else THROUGH
    return run.floor is None or mean([step.loss for step in steps[-len(steps) // 5 :]]) > share * run.floor


def gradient_exploded(run: History) -> Finding | None:
    """The gradient grew out of all proportion."""
    for track in run.tracks:
        norms = [step.gradient_norm for step in track.steps]
        if len(norms) < ENOUGH_STEPS:
            continue
        first, last = median(norms[: len(norms) // 5]), median(norms[-len(norms) // 5 :])
        if last > EXPLODED * first > 0:
            return notable(
                "likely",
                f"The gradient norm grew from {first:.2g} to {last:.2g}.",
                "Updates become wild: the next ones may break the model.",
                *steadier(run.recipe.optimiser, lower_rate(run.recipe)),
            )
    return None


def inputs_begin_alike(record: Preflight) -> Finding | None:
    """The [CLS] vectors of different texts are the same before the first update."""
    spreads = list(record.start.cls_spread.values())
    if record.start.rows < 2 or not spreads or spreads[-1] >= ALIKE_AT_START:
        return None
    return grave(
        "likely",
        f"Behind the last layer the [CLS] vectors of {record.start.rows} texts differ by "
        f"{spreads[-1]:.2%} of their length.",
        "The head gets the same vector for every text, so it can learn the class frequencies only.",
        *((Change("head.pooling", "mean"),) if record.asked.phase == "finetune" else ()),
    )


def inputs_become_alike(watched: Watched) -> Finding | None:
    """All inputs have the same vector, while nothing was learnt."""
    looks = [look for look in watched.past.looks if look.cls_spread is not None]
    first, last = looks[:1], looks[1:][-2:]
    if watched.learnt or watched.step < EARLIEST or len(last) < 2:
        return None
    begun, spreads = first[0].cls_spread or 0.0, [look.cls_spread or 0.0 for look in last]
    # Of copies of one text the spread is 0 from the first step on, and has not fallen.
    if max(spreads) > ALL_ALIKE or max(spreads) >= SPREAD_LOST * begun:
        return None
    return grave(
        "likely",
        f"The [CLS] vectors of different inputs are all alike: their spread fell from {begun:.2g} to "
        f"{spreads[-1]:.1g} by step {last[-1].step}, at {_at_rate(watched)}.",
        _cause(watched) if _is_hot(watched) else "The head can't tell inputs apart, whatever it learns.",
        *calmer(watched.setting),
    )


def weights_stand_still(watched: Watched) -> Finding | None:
    """Updates are too small to move anything, where the schedule has the rate at its height."""
    looks = [look for look in watched.past.looks if look.update_ratios and look.step >= EARLIEST][-2:]
    highest = watched.setting.optimiser.lr
    if len(looks) < 2 or any((look.learning_rate or 0.0) < highest / 2 for look in looks):
        return None
    ratio = max(max(look.update_ratios.values()) for look in looks)
    if ratio > STILL:
        return None
    return grave(
        "certain",
        f"An update moves no layer by more than {ratio:.1g} of its weights, at {_at_rate(watched)}.",
        "The weights stay what they were: the learning rate is too low by orders of magnitude.",
        Change("optimiser.lr", TRAINED_RATE if watched.setting.trained else FRESH_RATE),
    )


def dead_units(watched: Watched) -> Finding | None:
    """Nearly all units of a layer are off for every input, while nothing was learnt."""
    looks = _two_looks(watched, "dead_units")
    dead = _layers(looks, "dead_units", lambda share: share > DEAD_SHARE)
    if not dead:
        return None
    relu = watched.setting.model.activation == "relu" and not watched.setting.trained
    better = (Change("model.options.activation", "gelu"),) if relu else ()
    return notable(
        "likely",
        f"{looks[-1].dead_units[dead[0]]:.0%} of the units of {', '.join(dead)} are off or at their limit "
        f"for every input by step {watched.step}.",
        "No gradient passes through such units, so they can't come back: the updates were too large.",
        *better,
        *calmer(watched.setting),
    )


def attention_at_one_place(watched: Watched) -> Finding | None:
    """All heads of a layer look at one token alone, with nothing learnt (Zhai et al., arXiv 2303.06296)."""
    looks = _two_looks(watched, "attention_entropy")
    stuck = _layers(looks, "attention_entropy", lambda entropy: entropy < ONE_PLACE)
    if not stuck:
        return None
    return notable(
        "possible",
        f"The attention of {', '.join(stuck)} rests on one token alone: its entropy is "
        f"{looks[-1].attention_entropy[stuck[0]]:.1g} of the most there can be by step {watched.step}.",
        "Where the softmax is saturated hardly any gradient passes: queries and keys have grown too fast.",
        *calmer(watched.setting),
    )


def _two_looks(watched: Watched, figure: str) -> list[Health]:
    """The newest two with a figure; none where it is too early, or something was learnt."""
    looks = [look for look in watched.past.looks if getattr(look, figure)][-2:]
    return [] if watched.learnt or watched.step < EARLIEST or len(looks) < 2 else looks


def _layers(looks: Sequence[Health], figure: str, bad: Callable[[float], bool]) -> list[str]:
    """Those whose figure is bad in all looks."""
    seen: list[Mapping[str, float]] = [getattr(look, figure) for look in looks]
    return [
        layer for layer in (seen[-1] if seen else ()) if all(bad(each.get(layer, math.nan)) for each in seen)
    ]


def doubtful(watched: Watched) -> bool:
    """Whether the newest look alone shows signs of a collapse, with room to spare."""
    if watched.learnt:
        return stands_high(watched)
    layer = _lowest_layer(watched)
    look = watched.past.looks[-1] if watched.past.looks else None
    if look is None or watched.step < EARLIEST:
        return False
    faint = layer is not None and bool(look.gradient_norms) and _share_left(watched, look, layer) < DOUBTFUL
    begun = next((seen.cls_spread for seen in watched.past.looks if seen.cls_spread is not None), 0.0)
    alike = look.cls_spread is not None and look.cls_spread < min(DOUBTFUL, DWINDLED * begun)
    return faint or alike or stands_high(watched)


def _lowest_layer(watched: Watched) -> str | None:
    """The lowest layer that has had a gradient."""
    return next((name for name in watched.past.peaks if name.startswith("layer ")), None)


def _at_rate(watched: Watched) -> str:
    """The rate and the warm-up, in words."""
    optimiser = watched.setting.optimiser
    if not optimiser.warmup:
        return f"lr {optimiser.lr:g} without warm-up"
    return f"lr {optimiser.lr:g} with {optimiser.warmup:.0%} of warm-up"


def _is_hot(watched: Watched) -> bool:
    """Whether some update moved a layer of the encoder too far."""
    return any(
        ratio > HOT
        for look in watched.past.looks
        for layer, ratio in look.update_ratios.items()
        if layer.startswith("layer ")
    )


def _cause(watched: Watched) -> str:
    setting = watched.setting
    if setting.model.norm == "post" and setting.optimiser.warmup < WARMUP / 2:
        return (
            "The run has collapsed: the learning rate is too high for post-norm layers without warm-up. The "
            "first updates have destroyed the model (Xiong et al., arXiv 2002.04745)."
        )
    return "The run has collapsed: the learning rate is too high. The first updates have destroyed the model."


def _share_left(watched: Watched, look: Health, layer: str) -> float:
    """Of the greatest gradient norm of a layer, what a look saw; 1 where the layer never had any."""
    peak = watched.past.peaks.get(layer)
    return look.gradient_norms.get(layer, 0.0) / peak.norm if peak else 1.0
