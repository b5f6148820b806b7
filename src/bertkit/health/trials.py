"""Learning rates before a run: a few steps on copies of its model, and what may be wrong with its rate.

Can it overfit a few sequences, and at which learning rates at all?
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from bertkit.data.packed import PackedBatch
from bertkit.health.advice import WARMUP, grave, notable
from bertkit.health.look import cls_spread_by_layer, evaluating, gradient_norms
from bertkit.health.preflight import Ended, OverfitTrial, Preflight, RangeTest
from bertkit.model.compute import Compute, clock
from bertkit.model.optimisers import Optimiser
from bertkit.recipe import OWN_RATES
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import mean

KNOWN = 0.1
"""Loss in nats under which a batch is overfitted: the right answers have a probability of 0.9."""
LEAST_OVERFIT, LEAST_IN_RANGE = 21, 5
"""Steps made whatever time they take. After twenty a rate that is far too high has stopped the signal: so a
slow machine finds that, too."""
LOOK_EVERY = 10
"""Steps between looks at whether the signal has stopped, which must be so in two of them."""
STOPPED = 1e-2
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
DEEP = 6
"""Post-norm layers from which fresh weights are particular about the rate (Xiong et al.
2020)."""
COLD_RATE = 3e-4
"""The highest rate that eight such layers are known to stand without warm-up: the study why-stuck, in three
seeds of three. At 6e-4 its model can't overfit sixteen texts, at 1e-3 nothing in any seed."""
WARMED_RATE = 6e-4
"""The same with warm-up: that of RoBERTa base (Liu et al. 2019, table 9). At 1e-3 after warm-up the study's
rung that learns at 3e-4 stays on the entropy of the labels."""
WIDE = 512
WIDE_RATE = 1e-4
"""Of such layers from this width on, the paper's own (Devlin et al. 2018, appendix A.2): the study's rung
that learns at 3e-4 at a width of 128 stays on the entropy of the labels at 512, and learns there at this."""
UNLEARNT = 0.5
"""Share of the baseline loss that a batch must have left behind, to count as being learnt."""
ENOUGH_TRIED = 20
"""Of overfitting a batch, for those that time ended."""
NEAR_CLIFF = 3.0


@dataclass(frozen=True)
class Trial:
    """What is tried on copies of a model.

    Attributes:
        copy: makes a new copy of the model.
        loss: of the trial's sequences, a scalar.
        optimiser: of a copy, as the recipe has it.
        batch: the sequences as the encoder takes them.
        baseline_loss: loss of who knows the shares of their answers alone.
        clip: greatest norm of the gradient; 0 is no limit.
        compute: where and in which number format.
    """

    copy: Callable[[], nn.Module]
    loss: Callable[[nn.Module], torch.Tensor]
    optimiser: Callable[[nn.Module], Optimiser]
    batch: PackedBatch
    baseline_loss: float
    clip: float
    compute: Compute


def overfit_batch(
    trial: Trial, rate: Callable[[int], float], *, steps: int, seconds: float, calmer: bool = True
) -> OverfitTrial:
    """Show the same sequences `steps` times, without dropout, and say whether they are known then.

    Args:
        trial: what to learn, with what.
        rate: learning rate of each step; the last one's is called the trial's.
        steps: at most.
        seconds: of computing, at most, after the least steps; the calmer trial has what is left, or half.
        calmer: try again at a tenth of the learning rates where this fails, unless for lack of time.
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
        elif loss < KNOWN:
            ended = "learnt"
        elif stopped > 1:
            ended = "stopped"
        elif _late(began, seconds, len(losses), LEAST_OVERFIT):
            ended = "time"
        else:
            continue
        break
    with evaluating(model):
        _backward(model, trial)
    found = OverfitTrial(
        rows=len(trial.batch.lengths),
        tokens=len(trial.batch.ids_T),
        baseline_loss=trial.baseline_loss,
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
    again = overfit_batch(trial, lambda step: rate(step) / 10, steps=steps, seconds=left, calmer=False)
    return replace(found, calmer=again)


def _stops_at(
    model: nn.Module, trial: Trial, first: Mapping[str, float], spread: Mapping[str, float]
) -> str | None:
    """See `OverfitTrial.stops_at`; `first` and `spread` are those of the start."""
    norms = gradient_norms(model)
    lowest = next((name for name in norms if name.startswith("layer ")), None)
    if lowest is None or not norms[lowest] < STOPPED * first[lowest]:
        return None
    now = cls_spread_by_layer(model, trial.batch)
    alike = [name for name, value in now.items() if value < STOPPED * spread[name]]
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
    with trial.compute.autocast():
        loss = trial.loss(model)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()


def learning_rate_too_high(record: Preflight) -> Finding | None:
    """A deep stack of fresh post-norm layers is given a rate that none like it is known to stand."""
    asked = record.asked
    known = WARMED_RATE if asked.warmup else COLD_RATE
    if asked.norm != "post" or asked.layers < DEEP or not asked.fresh or asked.optimiser in OWN_RATES:
        return None
    if asked.lr <= known:
        return None
    warmed = Change("optimiser.warmup", WARMUP, together=True)
    lower = WIDE_RATE if asked.hidden_size >= WIDE else COLD_RATE
    return (notable if asked.warmup or asked.lr <= WARMED_RATE else grave)(
        "possible" if asked.warmup else "likely",
        f"{asked.layers} fresh post-norm layers have a learning rate of "
        f"{asked.lr:g}, {'after' if asked.warmup else 'without'} warm-up.",
        "Their gradients are largest at the start, near the output, and Adam makes full steps of them; "
        f"such layers are known to learn at up to {known:g} {'with' if asked.warmup else 'without'} warm-up.",
        Change("optimiser.lr", lower, together=True),
        *(() if asked.warmup else (warmed,)),
        read="docs/studies.md#why-stuck",
    )


def cannot_overfit_batch(record: Preflight) -> Finding | None:
    """A copy could not overfit a few sequences."""
    trial = record.overfit_trial
    if trial is None or trial.ended == "learnt" or not trial.losses:
        return None
    last = min(trial.losses[-5:])
    dead = trial.stops_at
    tried_enough = trial.ended in ("steps", "diverged", "stopped") or len(trial.losses) >= ENOUGH_TRIED
    if not dead and (not tried_enough or last < UNLEARNT * trial.baseline_loss or _cut_short(trial)):
        return None
    calmer = trial.calmer
    better = calmer is not None and calmer.ended == "learnt"
    norms = [norm for name, norm in trial.gradient_norms.items() if name.startswith("layer ")]
    seen = (
        f"{_ending(trial)} on the same {trial.rows} texts the loss is {trial.losses[-1]:.3f}; predicting "
        f"the frequencies of their {'labels' if record.asked.phase == 'finetune' else 'masked tokens'} gives "
        f"{trial.baseline_loss:.3f}. "
    )
    if dead:
        seen += f"The signal stops at {dead}: the first layer's gradient is {norms[0]:.1e}"
        seen += f", and [CLS] vectors differ by {list(trial.cls_spread.values())[-1]:.1e} at the end."
    elif norms:
        seen += f"The first layer's gradient is {norms[0]:.1e}, the last one's {norms[-1]:.1e}."
    changes = [Change("optimiser.lr", float(f"{trial.rate / 10:.2g}"))]
    if not better and record.asked.fresh:
        fewer = max(1, record.asked.layers // 4)
        changes += [Change("model.options.layers", fewer)] * (fewer < record.asked.layers)
        changes += [Change("model.options.positions", "rotary")] * (record.asked.positions != "rotary")
    means = "It cannot even memorise a few texts, so it will not learn many."
    if better and calmer is not None:
        means = (
            f"At a tenth of it they are learned in {len(calmer.losses)} steps: the learning rate is too high."
        )
    # How far a trial comes in its time depends on what else the machine does.
    return (notable if trial.ended == "time" and not dead else grave)(
        "certain" if better or (trial.ended in ("steps", "stopped") and dead) else "likely",
        seen,
        means,
        *changes,
    )


def _cut_short(trial: OverfitTrial) -> bool:
    """Whether time ended the trial while its loss still fell."""
    third = len(trial.losses) // 3
    if trial.ended != "time" or not third:
        return False
    return mean(trial.losses[-third:]) < mean(trial.losses[-2 * third : -third])


def _ending(trial: OverfitTrial) -> str:
    steps = (
        f"{len(trial.losses)} of {trial.limit} steps"
        if trial.ended == "time"
        else f"{len(trial.losses)} steps"
    )
    why = {"time": ", where the time was up,", "diverged": ", where it was no number any more,"}
    return f"After {steps}{why.get(trial.ended, '')} at a learning rate of {trial.rate:g}"


def learning_rate_over_cliff(record: Preflight) -> Finding | None:
    """The recipe's learning rate is where the range test's loss rises."""
    tested, lr = record.range_test, record.asked.lr
    if tested is None or tested.cliff is None or lr * NEAR_CLIFF < tested.cliff:
        return None
    over = lr >= tested.cliff
    return (grave if over else notable)(
        "likely" if over else "possible",
        f"The recipe's learning rate is {lr:g}; in the range test the loss rises from {tested.cliff:.1g} on.",
        "The updates throw the weights about."
        if over
        else "The learning rate is close to where updates break up.",
        Change("optimiser.lr", float(f"{tested.cliff / 10:.1g}")),
        read="arXiv 1506.01186",
    )


def learning_rate_too_small(record: Preflight) -> Finding | None:
    """All updates of the run together move the weights less far than the loss needs to begin to fall."""
    tested, asked = record.range_test, record.asked
    if tested is None or tested.reach is None or tested.falls_at is None or not asked.steps:
        return None
    if asked.optimiser in OWN_RATES or asked.reach >= tested.reach:
        return None
    return grave(
        "likely",
        f"The learning rates of all {asked.steps:,} updates add up to {asked.reach:.1e}; in the range test "
        f"the loss of a few texts began to fall after {tested.reach:.1e}.",
        "Adam moves a weight by about the learning rate at each update. The run will end where it begins.",
        Change("optimiser.lr", float(f"{tested.falls_at:.1g}")),
        read="arXiv 1506.01186",
    )
