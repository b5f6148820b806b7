"""What a run learns, as the one kind of run sees it: `labelled` and `unlabelled` make such objectives."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from bertkit.health.look import Looked
from bertkit.health.watch import Evaluation, Setting
from bertkit.model.compute import Compute
from bertkit.model.optimisers import build_optimiser
from bertkit.model.terms import Sums
from bertkit.recipe import OptimiserRecipe, PretrainRecipe, Recipe
from bertkit.runs.history import NEWEST
from bertkit.runs.restarts import Restart
from bertkit.train.listener import Listener, Plan
from bertkit.train.loop import Batch, Diverged, StepRecord, run_steps
from bertkit.train.processes import Processes
from bertkit.train.schedule import Schedule, rates

SECONDS_TO_ESTIMATE = 3.0
STEPS_TO_ESTIMATE = 4


@dataclass
class Progress:
    """How far a run is; saved with the weights.

    Attributes:
        step: updates made.
        tokens: computed in them.
        seconds: that they took.
        wall: seconds from start to end, all included.
        prepared: seconds from start to the first step.
        reserve: seconds of a budget to keep for what comes after the last step.
        opened: what comes before the first step is done.
        log_size: bytes of the log.
        loss, loss_steps: sum of the losses since the last evaluation, and how many they are.
        smoothed: mean of the training loss over about the last hundred steps.
        evaluations: made, of those that are spread evenly over the run.
        first, last: figures of the first evaluation, and those of the last with its step.
        best: the highest value of an evaluation; None before the first, or where its model is not kept.
        best_loss, best_step: of that evaluation; of equal values the one with the lower loss is the best.
        kept: what the objective keeps of that evaluation.
        without_gain: evaluations since then.
        collapse: the check that ended the run.
        broken: its model gave no numbers any more.
        good_step: of the last checkpoint that the run may go back to; 0 where there is none.
        long_from: the step from which sequences are long; None: not yet.
        watch: see `health.watch.Watch`.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    wall: float = 0.0
    prepared: float = 0.0
    reserve: float = 0.0
    opened: bool = False
    log_size: int = 0
    loss: float = 0.0
    loss_steps: int = 0
    smoothed: float = 0.0
    evaluations: int = 0
    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    best: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    kept: dict[str, Any] = field(default_factory=dict)
    without_gain: int = 0
    collapse: str = ""
    broken: bool = False
    good_step: int = 0
    long_from: int | None = None
    watch: dict[str, Any] = field(default_factory=dict)

    def stepped(self, record: StepRecord) -> None:
        """Take an update."""
        self.step = record.step
        self.tokens += record.tokens
        self.seconds += record.seconds
        self.loss += record.loss
        self.loss_steps += 1

    def smooth(self, loss: float | None) -> None:
        """Take the training loss of the newest step, where it has one."""
        if loss is not None:
            self.smoothed += max(NEWEST, 1 / self.step) * (loss - self.smoothed)

    def evaluated(self, found: Evaluated, *, doubted: bool) -> bool:
        """Take an evaluation; whether it is the best yet, where `doubted` only as the first."""
        self.first = self.first or found.figures
        self.last = {"step": self.step, **found.figures}
        gain = self.best is None or (found.value > self.best and not doubted)
        self.without_gain = 0 if gain else self.without_gain + 1
        # Few rows have few scores: of equal ones the lower loss is the surer model.
        loss = found.watched.loss
        lower = self.best_loss is not None and loss < self.best_loss
        surer = found.value == self.best and lower and not doubted
        if gain or surer:
            self.best, self.best_loss = found.value, loss
            self.best_step, self.kept = self.step, found.kept
        return gain or surer


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        figures: for the log; empty where there was nothing to score on.
        watched: what the watch remembers of it; its `loss` is no number where the model is broken.
        value: the higher the better.
        line: for log.txt, or "".
        kept: of the best one, for the run's result.
    """

    figures: dict[str, Any]
    watched: Evaluation
    value: float
    line: str = ""
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How the run of an objective goes.

    Attributes:
        setting: what the watch must know of it, with the loss of who knows nothing of the inputs.
        schedule: the moments of its steps; None where the clock decides.
        steps: updates in all; 0 where the clock decides.
        keeps_best: the model of the best evaluation is kept, else the last one. A run that keeps the best and
            breaks or collapses is scored with that; one that keeps the last is stopped.
        steps_per_epoch: evaluations come after each epoch, and the log tells epochs; 0: see `evaluations`.
        evaluations: so many spread evenly over the run, and one before it; the log tells shares of the run.
        checkpoints: how many stay beside the good one.
        loss: the figure of a step that is its training loss.
        floors: losses to log before the first step.
        scored_after: rows to score after the last seed, as a multiple of those of an evaluation.
        probe: looks at a few inputs; None where there are none to look at.
        batch_of: what a step was made of, in words that a file can keep.
    """

    setting: Setting
    schedule: Schedule | None
    steps: int
    keeps_best: bool
    steps_per_epoch: int = 0
    evaluations: int = 0
    checkpoints: int = 1
    loss: str = "loss"
    floors: Mapping[str, float] = field(default_factory=dict)
    scored_after: float = 0.0
    probe: Callable[[], Looked] | None = None
    batch_of: Callable[[int], dict[str, Any]] = lambda step: {}


class Outcome(Protocol):
    """What came of one seed."""

    def write(self, folder: Path) -> None:
        """Keep it in the seed's folder, which then is done."""


class Objective(Protocol):
    """What one seed of a run learns, over all its restarts' changes: see `labelled` and `unlabelled`.

    Attributes:
        model: trained in place.
        manner: how its run goes.
        sums: what the losses of a step add up to, for who logs them to clear.
    """

    model: nn.Module
    manner: Manner
    sums: Sums

    def at(self, progress: Progress, fraction: float) -> str:
        """Take the moment before the next step; a sentence for the log where something changes with it."""

    def batches(self, step: int) -> Sequence[Batch]:
        """The micro-batches of one step, of this process; the same for the same step, always."""

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """The micro-batch's share of the step's loss, over all processes."""

    def evaluate(self, progress: Progress) -> Evaluated | None:
        """Score what was held out, in all processes alike; None where there is nothing to be seen yet."""

    def write(self, folder: Path, progress: Progress) -> None:
        """Write the model as it is now as `model` in the folder, in place of the one before."""

    def result(self, progress: Progress) -> Outcome:
        """What came of it in the end."""


class Source(Protocol):
    """What all seeds of a run share, their data first of all; read once.

    Attributes:
        recipe: of the run.
        compute: where and in which number format it computes.
        processes: those that share its steps.
        listener: told of everything.
        notes: what there is to say of how it begins, once an objective was made.
        fingerprint: of the data.
        inputs: files and folders that the run reads.
        seconds_before: what will be computed before the first step, as far as a trial has seen.
    """

    recipe: Recipe | PretrainRecipe
    compute: Compute
    processes: Processes
    listener: Listener
    fingerprint: str
    inputs: Sequence[Path]
    notes: Sequence[str] = ()
    seconds_before: float = 0.0

    def objective(self, seed: int, restarts: Sequence[Restart] = (), *, trial: bool = False) -> Any:
        """What a seed learns after `restarts`; a `trial` has stand-ins for what takes long to compute."""

    def plan(self, objective: Any) -> Plan:
        """What a person should know before the run, of which `objective` is a trial.

        Raises:
            UserError: no step can be made of the model that it begins with.
        """

    def outcome(self, folder: Path) -> Any | None:
        """What came of the seed in `folder` if it is done."""

    def aggregate(self, out: Path, outcomes: list[Any], plan: Any) -> dict[str, Any]:
        """The content of `result.json`; its `best_seed`, where there are several, is the one to keep."""


def seconds_a_step(
    objective: Any,
    recipe: OptimiserRecipe,
    *,
    seed: int,
    compute: Compute,
    most: int = STEPS_TO_ESTIMATE,
) -> tuple[float, Diverged | None]:
    """Median time of up to `most` real steps of one process, but of fewer where that takes long.

    At a rate of zero: the weights stay, and who diverges here is broken before the first update. That is the
    second thing returned; the step that found it counts with the time that it took.
    """
    seconds: list[float] = []
    broke = None
    began = time.perf_counter()
    still = replace(recipe, lr=0.0, matrix_lr=0.0)

    def note(record: StepRecord) -> bool:
        seconds.append(record.seconds)
        return sum(seconds) > SECONDS_TO_ESTIMATE

    try:
        run_steps(
            objective.model,
            objective,
            build_optimiser(objective.model, still),
            rate=rates(most, still),
            clip=still.clip,
            start=0,
            seed=seed,
            compute=compute,
            after_step=note,
        )
    except Diverged as error:
        broke = error
        seconds.append(time.perf_counter() - began - sum(seconds))
    return statistics.median(seconds), broke
