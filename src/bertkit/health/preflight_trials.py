"""A few steps on a copy of a model: can it learn a few sequences by heart, and at which rates at all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from bertkit.data.packed import PackedBatch
from bertkit.health.layers import cls_spread_by_layer, evaluating, gradient_norms
from bertkit.health.preflight import ByHeart, Ended, RangeTest
from bertkit.model.optimisers import Optimiser
from bertkit.model.precision import Computing, autocast

LEARNT = 0.1
"""Loss in nats under which a batch is known by heart: the right answers have a probability of 0.9."""

LEAST_BY_HEART, LEAST_IN_RANGE = 21, 5
"""Steps made whatever time they take. After twenty a rate that is far too high has stopped the signal: so a
slow machine finds that, too."""
LOOK_EVERY = 10
"""Steps between looks at whether the signal has stopped, which must be so in two of them."""
DEAD = 1e-2
"""Of what it was at the start: the share of gradient or spread under which the signal has stopped."""

FIRST_RATE, LAST_RATE = 1e-6, 0.1
RANGE_STEPS = 40
"""Eight for each power of ten."""
FORGETTING = 0.7
"""Of the range test's moving average: a rate counts for about three steps, a third of a power of ten."""
FALLEN = 0.1
"""Share of the first loss that must be gone before it counts as falling."""
RISEN = 0.25
"""The loss stands over a cliff when it has risen by this share of the first loss over its lowest."""


@dataclass(frozen=True)
class Trial:
    """What is tried on copies of a model.

    Attributes:
        copy: makes a new copy of the model.
        loss: of the trial's sequences, a scalar.
        optimiser: of a copy, as the recipe has it.
        batch: the sequences as the encoder takes them.
        prior_loss: loss of who knows the shares of their answers alone.
        clip: greatest norm of the gradient; 0 is no limit.
        precision: of computing.
    """

    copy: Callable[[], nn.Module]
    loss: Callable[[nn.Module], torch.Tensor]
    optimiser: Callable[[nn.Module], Optimiser]
    batch: PackedBatch
    prior_loss: float
    clip: float
    precision: Computing


def learn_by_heart(
    trial: Trial, rate: Callable[[int], float], *, steps: int, seconds: float, calmer: bool = True
) -> ByHeart:
    """Show the same sequences `steps` times, without dropout, and say whether they are known then.

    Args:
        trial: what to learn, with what.
        rate: learning rate of each step; the last one's is called the trial's.
        steps: at most.
        seconds: of computing, at most, after the least steps; the calmer trial has what is left, or half.
        calmer: try again at a tenth of the rates where this fails, unless for lack of time.
    """
    began = clock()
    model = trial.copy()
    spread = cls_spread_by_layer(model, trial.batch)
    first: dict[str, float] = {}
    losses: list[float] = []
    stopped = 0
    ended: Ended = "steps"
    for loss in _updates(model, trial, rate, steps):
        first = first or gradient_norms(model)
        if len(losses) % LOOK_EVERY == 0:
            stopped = stopped + 1 if _stops_at(model, trial, first, spread) else 0
        losses.append(loss)
        if not math.isfinite(loss):
            ended = "diverged"
        elif loss < LEARNT:
            ended = "learnt"
        elif stopped > 1:
            ended = "stopped"
        elif _late(began, seconds, len(losses), LEAST_BY_HEART):
            ended = "time"
        else:
            continue
        break
    with evaluating(model):
        _backward(model, trial)
    found = ByHeart(
        rows=len(trial.batch.lengths),
        pieces=len(trial.batch.ids_T),
        prior_loss=trial.prior_loss,
        rate=rate(max(0, steps - 1)),
        limit=steps,
        losses=losses,
        ended=ended,
        gradient_norms=gradient_norms(model),
        cls_spread=cls_spread_by_layer(model, trial.batch),
        stops_at=_stops_at(model, trial, first, spread),
    )
    if ended in ("learnt", "time") or not calmer:
        return found
    left = max(seconds - (clock() - began), seconds / 2)
    again = learn_by_heart(trial, lambda step: rate(step) / 10, steps=steps, seconds=left, calmer=False)
    return replace(found, calmer=again)


def _stops_at(
    model: nn.Module, trial: Trial, first: Mapping[str, float], spread: Mapping[str, float]
) -> str | None:
    """See `ByHeart.stops_at`; `first` and `spread` are the gradient norms and the spread at the start."""
    norms = gradient_norms(model)
    lowest = next((name for name in norms if name.startswith("layer ")), None)
    if lowest is None or not norms[lowest] < DEAD * first[lowest]:
        return None
    now = cls_spread_by_layer(model, trial.batch)
    alike = [name for name, value in now.items() if value < DEAD * spread[name]]
    return alike[0] if alike and alike[-1] == list(now)[-1] else None


def range_test(trial: Trial, *, seconds: float) -> RangeTest:
    """Train on the same sequences at rates that grow from step to step, until the loss rises steeply.

    Smith 2017, "Cyclical learning rates for training neural networks" (arXiv 1506.01186), section 3.3; the
    sequences stay the same, so that the loss tells of the rate and not of the batch.

    Args:
        trial: what to train, with what.
        seconds: of computing, at most, after five steps.
    """
    began = clock()
    rates, losses, smoothed = [], [], []
    falls_at = reach = cliff = None
    ended: Ended = "steps"

    def rate(step: int) -> float:
        return FIRST_RATE * math.pow(LAST_RATE / FIRST_RATE, step / (RANGE_STEPS - 1))

    # The loss that is yielded at a step was changed by the rates before it.
    for step, loss in enumerate(_updates(trial.copy(), trial, rate, RANGE_STEPS)):
        if not math.isfinite(loss):
            cliff, ended = rate(max(0, step - 1)), "diverged"
            break
        rates.append(rate(step))
        losses.append(loss)
        smoothed.append(_smooth(losses))
        if falls_at is None and smoothed[-1] < (1 - FALLEN) * losses[0]:
            falls_at, reach = rate(max(0, step - 1)), sum(rates[:-1])
        if smoothed[-1] > min(smoothed) + RISEN * losses[0]:
            cliff, ended = _turn(rates, smoothed), "cliff"
            break
        if _late(began, seconds, len(losses), LEAST_IN_RANGE):
            ended = "time"
            break
    return RangeTest(
        rates=rates,
        losses=losses,
        smoothed=smoothed,
        falls_at=falls_at,
        reach=reach,
        cliff=cliff,
        ended=ended,
    )


def clock() -> float:
    """Seconds that this thread has computed: those in which others have the core tell nothing of a trial."""
    return time.thread_time()


def _late(began: float, seconds: float, steps: int, least: int) -> bool:
    return steps >= least and clock() - began > seconds


def _turn(rates: list[float], smoothed: list[float]) -> float:
    """The rate of the lowest loss's last step: what comes behind it is the cliff."""
    lowest = min(range(len(smoothed)), key=smoothed.__getitem__)
    return rates[lowest]


def _smooth(losses: list[float]) -> float:
    """The moving average without the bias of its beginning, as Adam's."""
    weights = [FORGETTING**age for age in range(len(losses))]
    return sum(w * loss for w, loss in zip(weights, reversed(losses), strict=True)) / sum(weights)


def _updates(model: nn.Module, trial: Trial, rate: Callable[[int], float], steps: int) -> Iterator[float]:
    """Update `model`, in evaluation mode, `steps` times; yields the loss before each update."""
    optimiser = trial.optimiser(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    with evaluating(model):
        for step in range(steps):
            loss = _backward(model, trial)
            yield loss
            norm = nn.utils.clip_grad_norm_(parameters, trial.clip or math.inf, foreach=True).item()
            if not math.isfinite(norm):
                yield math.nan
                return
            optimiser.set_rate(rate(step))
            optimiser.step()


def _backward(model: nn.Module, trial: Trial) -> float:
    model.zero_grad(set_to_none=True)
    with autocast(trial.precision):
        loss = trial.loss(model)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()
