"""How far a run is, and its learning rate: by steps, by the wall clock, or as another run's log says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from bertkit.recipe import OptimiserRecipe
from bertkit.runs.log import timed_steps


def learning_rate(step: int, steps: int, recipe: OptimiserRecipe) -> float:
    """The rate of update `step` (from 0) of `steps`: linear warm-up, then constant or linear to zero."""
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (steps - step) / (steps - warmup)


def rates(steps: int, recipe: OptimiserRecipe) -> Callable[[int], float | None]:
    """The rate of each update, and None after the last of `steps`."""
    return lambda step: learning_rate(step, steps, recipe) if step < steps else None


def learning_rate_at(fraction: float, recipe: OptimiserRecipe) -> float:
    """The rate where a share `fraction` of a run is done, for runs whose steps are not counted beforehand."""
    if fraction < recipe.warmup:
        return recipe.lr * fraction / recipe.warmup
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 - fraction) / (1 - recipe.warmup)


@dataclass(frozen=True)
class Moment:
    """Where a run is before a step: the share of it that is done, and the step's learning rate."""

    fraction: float
    rate: float


class Schedule(Protocol):
    """Tells the moment of each step, counted from 0; None: the run is over."""

    def __call__(self, step: int) -> Moment | None:
        """The moment before `step`."""


class BySteps:
    """A run of a known number of steps."""

    def __init__(self, steps: int, recipe: OptimiserRecipe) -> None:
        self._steps = steps
        self._recipe = recipe

    def __call__(self, step: int) -> Moment | None:
        """The moment before `step`."""
        if step >= self._steps:
            return None
        return Moment(step / self._steps, learning_rate(step, self._steps, self._recipe))


class ByClock:
    """A run that ends with its time (Izsak et al. 2021, arXiv 2104.07705: the rate follows the wall clock).

    The share that is done is of the time from the first step to the last, so warm-up begins with that step.

    Args:
        minutes: wall time in all, from the start of the run.
        spent: seconds of it that are gone.
        first: seconds of it that were gone when the run made its first step.
        reserve: seconds to keep for what comes after the last step.
        agree: makes all processes see the same clock, that of the first.
        recipe: rates.
    """

    def __init__(
        self,
        minutes: float,
        spent: float,
        first: float,
        reserve: float,
        agree: Callable[[float], float],
        recipe: OptimiserRecipe,
    ) -> None:
        self._end = 60 * minutes - reserve
        self._first = first
        self._agree = agree
        self._recipe = recipe
        self._began = time.monotonic() - spent
        self._asked: list[float] = []
        self._fraction = 0.0

    def __call__(self, step: int) -> Moment | None:
        """The moment before `step`."""
        elapsed = time.monotonic() - self._began
        # The last step begins when there is time for just one, at a learning rate of about zero. That time is
        # the lesser of the last two steps': an evaluation may have fallen into one.
        self._asked = [*self._asked[-2:], elapsed]
        duration = min((b - a for a, b in pairwise(self._asked)), default=0.0)
        last = self._end - duration
        fraction = (elapsed - self._first) / (last - self._first) if elapsed < last else 1.0
        self._fraction = self._agree(max(self._fraction, fraction))
        if self._fraction >= 1:
            return None
        return Moment(self._fraction, learning_rate_at(self._fraction, self._recipe))


class ByLog:
    """A run that repeats the steps of another one's log, which the wall clock had timed."""

    def __init__(self, run: Path) -> None:
        self._moments = [Moment(*timed) for timed in timed_steps(run)]

    def __len__(self) -> int:
        """Steps of the run."""
        return len(self._moments)

    def __call__(self, step: int) -> Moment | None:
        """The moment before `step`."""
        return self._moments[step] if step < len(self._moments) else None
