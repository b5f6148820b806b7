"""Looks at a run while it trains: when, what for, and what is done with what they find."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import nn

from bertkit.health.checks import COLLAPSES, check_during
from bertkit.health.look import Looked, Weights, gradient_norms
from bertkit.health.signal import doubtful
from bertkit.health.watch import EARLIEST, Broke, Evaluation, Setting, Watch
from bertkit.runs.findings import Finding, append_findings
from bertkit.runs.history import HEALTH, Health
from bertkit.runs.log import RunLog
from bertkit.train.listener import Listener
from bertkit.train.loop import Diverged, StepRecord
from bertkit.train.processes import ALONE, Processes

EARLY = (1, 2, 5, 10, 20)
"""Steps that are looked at in any case: a rate that is too high destroys a model within the first ten."""
FIRST, SECOND = 1, 10
"""Of these the steps that also look at inputs; the second one's time says how often the others can be."""
SHARE = 0.006
"""Of the time of a run, what looks at every n steps may take: below 0.01 together with the early ones."""
NEVER = -1


class Watching:
    """Looks at a model in training now and then, records what it sees, and says at once what is wrong.

    It changes nothing of the run: it draws no random number and leaves gradients and weights alone. Of
    several processes the first one looks.

    Args:
        model: in training.
        setting: what the checks must know.
        watch: what is remembered; saved with the run's progress by its owner.
        probe: looks at a few inputs; None where there are none to look at.
        every: steps between looks: 0 chooses by their cost, `NEVER` is none.
        also_every: steps after which there is a look as well; 0 for none.
        folder: where `findings.json` is.
        listener: who is told.
        processes: those of the run.
    """

    def __init__(
        self,
        model: nn.Module,
        setting: Setting,
        watch: Watch,
        probe: Callable[[], Looked] | None,
        *,
        every: int,
        folder: Path,
        listener: Listener,
        also_every: int = 0,
        processes: Processes = ALONE,
    ) -> None:
        self.watch = watch
        self._model = model
        self._setting = setting
        self._probe = probe
        self._off = every == NEVER
        self._also_every = also_every
        self._folder = folder
        self._listener = listener
        self._processes = processes
        if every > 0:
            watch.every = every
        self._gradients: dict[str, float] = {}
        self._weights: Weights | None = None
        self._before_seconds = 0.0
        self._step_seconds: list[float] = []

    def before_update(self) -> None:
        """To be called when the gradient of a step is known."""
        self._before_seconds = 0.0
        if self._is_due(self.watch.steps + 1) and self._processes.first:
            began = time.perf_counter()
            self._gradients = gradient_norms(self._model)
            self._weights = Weights(self._model)
            self._before_seconds = time.perf_counter() - began

    def stepped(
        self, record: StepRecord, log: RunLog, place: Mapping[str, float], fraction: float
    ) -> list[Finding]:
        """Take a step; what was found now.

        Args:
            record: of the update.
            log: of the run.
            place: its `epoch` or `fraction`, for the record.
            fraction: share of the run that is done.
        """
        risen = self.watch.stepped(record.loss, self._setting.rise)
        if self._off:
            return self._found(record.step, fraction, log) if risen else []
        if not self.watch.every:
            self._step_seconds.append(record.seconds - self._before_seconds)
        due = self._is_due(record.step)
        if due and self._processes.first:
            began = time.perf_counter()
            self._look(record, log, place)
            spent = self._before_seconds + time.perf_counter() - began
        else:
            spent = 0.0
        if record.step == SECOND and not self.watch.every:
            self.watch.every = self._affordable(spent)
        return self._found(record.step, fraction, log) if due or risen else []

    def evaluated(self, evaluation: Evaluation, fraction: float, log: RunLog) -> list[Finding]:
        """Take an evaluation, and say where it shows that text was understood; what was found now."""
        step, loss, unigram = evaluation.step, evaluation.loss, self._setting.baseline_loss
        if self._setting.phase == "pretrain" and unigram and self.watch.passed(step, loss, unigram):
            sentence = (
                f"The loss {loss:.3f} broke through the unigram plateau ({unigram:.3f}) by "
                f"step {step:,}: the model uses the context."
            )
            log.say(sentence)
            self._listener.told(sentence)
        self.watch.evaluated(evaluation)
        return self._found(evaluation.step, fraction, log)

    def diverged(self, error: Diverged, fraction: float, log: RunLog) -> list[Finding]:
        """Take the end of a run whose loss is no number; what was found."""
        told = list(self.watch.told)
        found = self._found(error.made, fraction, log, (error.loss, error.norm))
        # The step was not made: a run that goes on from before it is told again if it comes again.
        self.watch.told = told
        return found

    def vouches(self, fraction: float) -> bool:
        """Whether another attempt may go on from here: enough was seen, and nothing that may be wrong."""
        return self.watch.steps >= EARLIEST and not self.doubts(fraction)

    def doubts(self, fraction: float) -> bool:
        """Whether something may be wrong with the run: what was looked at last is not to be gone back to."""
        lost = any(check in COLLAPSES for check in self.watch.told)
        return lost or doubtful(self.watch.at(self._setting, self.watch.steps, fraction))

    def _is_due(self, step: int) -> bool:
        if self._off:
            return False
        return step in EARLY or self._is_due_for_inputs(step)

    def _is_due_for_inputs(self, step: int) -> bool:
        every = self.watch.every
        also = self._also_every
        return step in (FIRST, SECOND) or bool(every and step % every == 0) or bool(also and step % also == 0)

    def _look(self, record: StepRecord, log: RunLog, place: Mapping[str, float]) -> None:
        assert self._weights is not None, "before_update was not called"
        looks_at_inputs = self._probe is not None and self._is_due_for_inputs(record.step)
        looked = self._probe() if self._probe is not None and looks_at_inputs else None
        gap = None
        if self.watch.evaluations:
            newest = self.watch.evaluations[-1]
            gap = newest.loss - newest.train_loss
        health = Health(
            step=record.step,
            learning_rate=record.learning_rate,
            smoothed_loss=self.watch.smoothed,
            baseline_loss=self._setting.baseline_loss,
            heldout_gap=gap,
            gradient_norms=self._gradients,
            update_ratios=self._weights.update_ratios(),
            **place,  # type: ignore[arg-type]
            **({} if looked is None else vars(looked)),
        )
        self._weights = None
        self.watch.looked(health)
        log.record(HEALTH, **health.to_record())

    def _affordable(self, cost: float) -> int:
        """Steps between looks of `cost` seconds that keep them under `SHARE`: 10, 20, 50, 100, 200 ..."""
        least = cost / (SHARE * statistics.median(self._step_seconds))
        choices = (digit * 10**power for power in range(1, 9) for digit in (1, 2, 5))
        return round(self._processes.agree(next(choice for choice in choices if choice >= least)))

    def _found(self, step: int, fraction: float, log: RunLog, broke: Broke | None = None) -> list[Finding]:
        found = check_during(self.watch.at(self._setting, step, fraction, broke), self.watch.told)
        found = self._agreed(found)
        if found and self._processes.first:
            append_findings(self._folder, "watch", step, found)
            for finding in found:
                log.say(finding.line)
            self._listener.found(found)
        return found

    def _agreed(self, found: list[Finding]) -> list[Finding]:
        """What the first of the processes found; the others, who don't look, learn of a collapse only."""
        if self._processes.count == 1:
            return found
        lost = collapse_among(found)
        code = round(self._processes.agree(COLLAPSES.index(lost.check) + 1 if lost else 0))
        if self._processes.first:
            return found
        return [Finding(COLLAPSES[code - 1], "grave", "likely", "", "")] if code else []


def collapse_among(findings: Sequence[Finding]) -> Finding | None:
    """The finding that says that a run is lost, if there is one."""
    return next((finding for finding in findings if finding.check in COLLAPSES), None)
