"""The one training loop. What is learned is an objective; what a person sees is a listener."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from types import FrameType
from typing import Any, Protocol

import torch
from torch import nn

from bertkit.model.compute import Compute
from bertkit.model.optimisers import Optimiser
from bertkit.train.processes import ALONE, Processes


class Batch(Protocol):
    """One micro-batch."""

    @property
    def tokens(self) -> int:
        """How many it has, T."""


class Minimised(Protocol):
    """What the loop minimises: batches as a pure function of the step, and the loss of one."""

    def batches(self, step: int) -> Sequence[Batch]:
        """The micro-batches of one step, of this process; the same for the same step, always."""

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """The micro-batch's share of the step's loss, a scalar: the shares of a step, of all processes, add
        up to its loss.
        """


@dataclass(frozen=True)
class StepRecord:
    """What one update was, over all processes: `step` counts from 1, `seconds` is its wall time."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float


class Diverged(RuntimeError):
    """The loss or its gradient is no longer a number.

    Attributes:
        step: counts from 1: the one that could not be made, or, without a norm, the one whose update left a
            model with this loss.
        loss: in nats.
        norm: of the gradient; None where the model was scored and not trained.
    """

    def __init__(self, step: int, loss: float, norm: float | None) -> None:
        seen = f"after step {step}" if norm is None else f"and its gradient norm {norm} in step {step}"
        super().__init__(f"The loss is {loss} {seen}.")
        self.step = step
        self.loss = loss
        self.norm = norm

    @property
    def made(self) -> int:
        """Updates that were made."""
        return self.step if self.norm is None else self.step - 1


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP arrived; the step under way was finished first."""


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Seed of dropout in one step of one process, so that a resumed run needs no generator's state."""
    # Ranks stand farther apart than any number of steps, so that no two of all these are the same.
    return (seed * 1_000_003 + step + 1 + rank * 2**40) % 2**63


def run_steps(
    model: nn.Module,
    objective: Minimised,
    optimiser: Optimiser,
    *,
    rate: Callable[[int], float | None],
    clip: float,
    start: int,
    seed: int,
    compute: Compute,
    after_step: Callable[[StepRecord], bool],
    before_update: Callable[[], None] = lambda: None,
    while_sound: Callable[[], None] = lambda: None,
    processes: Processes = ALONE,
) -> None:
    """Update `model` from step `start` on, until `rate` or `after_step` says that it is enough.

    Args:
        model: trained in place; the same in all processes.
        objective: what to minimise.
        optimiser: made by `build_optimiser`.
        rate: the learning rate of a step (counted from 0), or None: the run is over.
        clip: greatest norm of the gradient; 0 is no limit.
        start: steps done before (0 for a new run).
        seed: the run's.
        compute: where and in which number format.
        after_step: called after each update; True ends the run. It must say the same in all processes.
        before_update: called when the gradient is known, before it is clipped: for what looks at it, and for
            what may still fail, such as sums over processes.
        while_sound: called before the weights move, once their loss and gradient are known to be numbers:
            what it saves is a model that can go on. Its time is no part of the step's.
        processes: those that share the work of each step.

    Raises:
        Diverged: the loss or the gradient norm is not finite; the update is not made.
        Interrupted: a signal asked for the end, in any process; the state is that of the last whole step.
        ProcessLost: another process is gone.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    with deferred_signals() as interrupted:
        for step in count(start):
            began = time.perf_counter()
            if (lr := rate(step)) is None:
                return
            torch.manual_seed(step_seed(seed, step, processes.rank))
            model.train()
            optimiser.set_rate(lr)
            loss, tokens = _accumulate(model, objective, step, compute)
            loss, total, signals = processes.add_gradients(parameters, loss, tokens, interrupted())
            before_update()
            norm = _clip(parameters, optimiser, clip, step, loss)
            seconds = time.perf_counter() - began
            while_sound()
            seconds += _update(optimiser)
            record = StepRecord(step + 1, loss, lr, norm, round(total), seconds)
            enough = after_step(record)
            if signals or (processes.count == 1 and interrupted()):
                raise Interrupted
            if enough:
                return


def _update(optimiser: Optimiser) -> float:
    """Move the weights; the seconds that it took."""
    began = time.perf_counter()
    optimiser.step()
    optimiser.zero_grad()
    return time.perf_counter() - began


def _accumulate(model: nn.Module, objective: Minimised, step: int, compute: Compute) -> tuple[float, int]:
    """Add up the gradients of a step's micro-batches of this process; their loss and their tokens."""
    loss, tokens = 0.0, 0
    for batch in objective.batches(step):
        with compute.autocast():
            share = objective.loss(model, batch)
        share.backward()  # type: ignore[no-untyped-call]
        loss += share.item()
        tokens += batch.tokens
    return loss, tokens


def _clip(parameters: list[nn.Parameter], optimiser: Optimiser, clip: float, step: int, loss: float) -> float:
    """Clip the gradient; the norm that it had.

    Raises:
        Diverged: there is nothing to move along, and nothing is moved.
    """
    norm = nn.utils.clip_grad_norm_(parameters, clip or math.inf, foreach=True).item()
    if not (math.isfinite(loss) and math.isfinite(norm)):
        optimiser.zero_grad()
        raise Diverged(step + 1, loss, norm)
    return norm


_held: list[list[int]] = []
"""The signals that came in the context that holds them back, if there is one."""


@contextmanager
def deferred_signals() -> Iterator[Callable[[], bool]]:
    """Hold back SIGINT, SIGTERM and SIGHUP: yields a function that says whether one came.

    A second one is immediate, but not SIGHUP, which both the shell and the system send when a terminal goes.
    Where that is ignored, as under nohup, it stays so.

    Inside another such context it is that one's function. Outside the main thread, where Python has no
    signals, nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    if _held:
        outer = _held[-1]
        yield lambda: bool(outer)
        return
    came: list[int] = []
    _held.append(came)

    def note(number: int, frame: FrameType | None) -> None:
        if came and number != signal.SIGHUP:
            raise KeyboardInterrupt
        came.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: bool(came)
    finally:
        _held.pop()
        for number, handler in before.items():
            signal.signal(number, handler)
