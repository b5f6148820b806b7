"""The one training loop. What is learned is an objective; what a person sees is a listener."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

import torch
from torch import nn

from bertkit.model.precision import Computing, autocast
from bertkit.recipe import OptimiserRecipe
from bertkit.train.optimiser import learning_rate


class Objective(Protocol):
    """What the loop minimises: batches as a pure function of the step, and the loss of one."""

    def batches(self, step: int) -> Sequence[Any]:
        """The micro-batches of one step; the same for the same step, always."""

    def pieces(self, batch: Any) -> int:
        """Pieces of one micro-batch, T."""

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """The micro-batch's share of the step's loss, a scalar: the shares of a step add up to its loss."""


@dataclass(frozen=True)
class StepRecord:
    """What one update was: `step` counts from 1, `seconds` is its wall time."""

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    pieces: int
    seconds: float


class Diverged(RuntimeError):
    """The loss or its gradient is no longer a number."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM arrived; the step under way was finished first."""


def step_seed(seed: int, step: int) -> int:
    """Seed of dropout in one step, so that a resumed run needs no generator's state."""
    return (seed * 1_000_003 + step + 1) % 2**63


def run_steps(
    model: nn.Module,
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    recipe: OptimiserRecipe,
    *,
    steps: int,
    start: int,
    seed: int,
    precision: Computing,
    after_step: Callable[[StepRecord], bool],
) -> None:
    """Update `model` from step `start` until `steps`, or until `after_step` says that it is enough.

    Args:
        model: trained in place.
        objective: what to minimise.
        optimiser: made by `build_optimiser`.
        recipe: rates, clipping.
        steps: the run ends after so many; the schedule spans them.
        start: steps done before (0 for a new run).
        seed: the run's.
        precision: "fp32" or "bf16".
        after_step: called after each update; True ends the run.

    Raises:
        Diverged: the loss or the gradient norm is not finite; the update is not made.
        Interrupted: a signal asked for the end; the state is that of the last whole step.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    with deferred_signals() as interrupted:
        for step in range(start, steps):
            began = time.perf_counter()
            torch.manual_seed(step_seed(seed, step))
            model.train()
            rate = learning_rate(step, steps, recipe)
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss, pieces = 0.0, 0
            for batch in objective.batches(step):
                with autocast(precision):
                    share = objective.loss(model, batch)
                share.backward()  # type: ignore[no-untyped-call]
                loss += share.item()
                pieces += objective.pieces(batch)
            norm = nn.utils.clip_grad_norm_(parameters, recipe.clip or math.inf, foreach=True).item()
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise Diverged(f"The loss is {loss} and its gradient norm {norm} in step {step + 1}.")
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            enough = after_step(StepRecord(step + 1, loss, rate, norm, pieces, time.perf_counter() - began))
            if interrupted():
                raise Interrupted
            if enough:
                return


@contextmanager
def deferred_signals() -> Iterator[Callable[[], bool]]:
    """Hold back SIGINT and SIGTERM: yields a function that says whether one came. A second one is immediate.

    Outside the main thread, where Python has no signals, nothing is held back.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
