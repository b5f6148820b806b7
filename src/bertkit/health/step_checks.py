"""What may be wrong with the updates of a run of either kind: gradients, jumps of the loss, pace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from bertkit.health.advice import READ, lower_rate, steadier, trainable, usual_rate
from bertkit.health.watch import VANISHED
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import ENOUGH_STEPS, THROUGH, History, Step, Track, mean, median

EXPLODED = 100.0
"""Times its first size. Where rows are being learned by heart, gradients of healthy runs grow twelvefold."""
WINDOW = 15
"""Steps whose losses are taken together: their mean hardly sees one odd batch."""
ROSE = 0.5
"""Nats that such a mean stands above the lowest one before, beside what noise does. Of healthy runs with 32
rows a batch none reaches 0.3."""
BACK = 4.0
"""Standard errors within which a loss is where it was."""
MANY = 20
"""Windows whose differences have a median that a jump or two do not move."""
NORMAL = 1.05
"""Standard deviations in the median difference of two normal numbers: 1 over 0.6745 times the root of 2."""
SLOWED = 0.5
LONG = 300.0
"""Seconds. On a machine that does something else too, the pace of shorter runs says nothing."""


def gradient_vanished(run: History) -> Finding | None:
    """The gradient fell to nothing while the loss stayed high."""
    found = next((told for track in run.tracks if (told := _vanished(run, track)) is not None), None)
    if found is None:
        return None
    return Finding(
        "gradient_vanished",
        "grave",
        "certain",
        f"{found} while the loss stayed high.",
        "Updates no longer change anything: the first ones were too large, and nothing passes any more.",
        steadier(run.recipe.optimiser, usual_rate(run.recipe)) + trainable(run.recipe.model),
        READ,
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
    return f"The gradient's norm fell from {first:.2g} to {last:.1g}" if last < VANISHED * first else None


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
            return Finding(
                "gradient_exploded",
                "notable",
                "likely",
                f"The gradient's norm grew from {first:.2g} to {last:.2g}.",
                "Updates become wild: the next ones may break the model.",
                steadier(run.recipe.optimiser, lower_rate(run.recipe)),
                READ,
            )
    return None


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
        limit = max(ROSE, (2 * math.sqrt(2 * math.log(len(means))) + 2) * noise)
        if not height > limit:
            continue
        onset = next(i for i in range(bottom, top + 1) if means[i] > means[bottom] + limit)
        before = median(means[max(0, bottom - 2) : onset])
        after = median(means[max(top + 1, len(means) - 3) :] or means[-1:])
        back = after < before + max(ROSE / 2, BACK * noise)
        return Finding(
            "loss_rose",
            "notable" if back else "grave",
            "certain",
            f"The training loss rose by {height:.2f} nats about step {steps[onset * WINDOW].step:,}"
            + (", and came back." if back else f", from {before:.3f}, and ended at {after:.3f}."),
            "Updates were too large there: time was lost." if back else "What had been learned is lost.",
            steadier(run.recipe.optimiser, lower_rate(run.recipe)),
            READ,
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
        paces = [step.pieces_per_second for step in track.steps if step.step <= usual]
        quarter = len(paces) // 4
        if quarter < ENOUGH_STEPS or not seconds > LONG:
            continue
        first, last = median(paces[:quarter]), median(paces[-quarter:])
        if last < SLOWED * first:
            return Finding(
                "slowed_down",
                "notable",
                "possible",
                f"It began with {first:,.0f} pieces a second, and ended with {last:,.0f}.",
                "Something else used the machine, or it became hot, or ran out of memory.",
                (Change(words="a look at what else runs there, and at its memory"),),
                READ,
            )
    return None


def gaps(steps: Sequence[Step]) -> list[tuple[int, int]]:
    """The stretches of steps that a log lacks, first and last of each."""
    pairs = pairwise([0, *(step.step for step in steps)])
    return [(before + 1, after - 1) for before, after in pairs if after > before + 1]
