"""What the first process leaves of a seed: checkpoints, model, result, or why it stopped."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertkit.checkpoint.card import read_note
from bertkit.model.optimisers import Optimiser
from bertkit.runs.checkpoints import Checkpoints
from bertkit.runs.folder import forget_stop, note_stop, stop_note
from bertkit.runs.log import RunLog, open_log
from bertkit.runs.restarts import Collapsed, Restart, add_restart, begins_at, change_of
from bertkit.train.closing import Closing
from bertkit.train.objective import Objective, Outcome, Progress
from bertkit.train.processes import Processes, ProcessLost


class Stopped(RuntimeError):
    """The run cannot sensibly go on: the message says at which step, why, and what is left."""


@dataclass(frozen=True)
class Place:
    """Where one seed of a run leaves what it makes.

    Attributes:
        out: the run folder.
        folder: the seed's, which is the run folder where there is one seed.
        seed: its number.
        minutes: of wall time that it has; 0 where the clock does not decide.
        closing: what follows the last seed.
    """

    out: Path
    folder: Path
    seed: int
    minutes: float
    closing: Closing


class SeedFolder:
    """The folder of one attempt at a seed, from whose newest checkpoint the attempt goes on.

    Args:
        place: where it is.
        objective: what is learnt; the newest checkpoint is put into its model.
        optimiser: of the model; likewise.
        restarts: the attempts before this one.
        processes: those of the run.

    Attributes:
        progress: how far the run is. Whoever trains keeps it up to date.
        log: open between `open` and the end of its context.

    Raises:
        UserError: the newest checkpoint is damaged, or of another model.
    """

    log: RunLog

    def __init__(
        self,
        place: Place,
        objective: Objective,
        optimiser: Optimiser,
        restarts: list[Restart],
        processes: Processes,
    ) -> None:
        self.path = place.folder
        self._place = place
        self._objective = objective
        self._optimiser = optimiser
        self._restarts = restarts
        self._processes = processes
        self._checkpoints = Checkpoints(self.path, objective.manner.checkpoints)
        self.progress = Progress(**(self._checkpoints.load(objective.model, optimiser) or {}))
        if (
            objective.manner.keeps_best
            and read_note(self.path / "model").get("steps") != self.progress.best_step
        ):
            # It is of an evaluation after the checkpoint, which may not come again: the next one replaces it.
            self.progress.best = None
        self.saved_at = time.monotonic()

    def open(self) -> RunLog:
        """Open the log, to be closed as a context."""
        progress = self.progress
        self.log = open_log(self.path, progress.log_size, progress.step, first=self._processes.first)
        return self.log

    def save(self) -> None:
        """Write a checkpoint, which holds the progress and how long the log is."""
        self.saved_at = time.monotonic()
        if self._processes.first:
            progress = self.progress
            progress.log_size = self.log.flushed_size()
            model, saved, good = self._objective.model, asdict(progress), progress.good_step
            self._checkpoints.save(progress.step, model, self._optimiser, saved, good=good)

    def write_model(self) -> None:
        """Write the model as it is now, in place of the one before."""
        if self._processes.first:
            self._objective.write(self.path, self.progress)

    def finish(self) -> Outcome:
        """Lay down what came of the seed, and remove the checkpoints but for the one that was just saved."""
        outcome = self._objective.result(self.progress)
        if self._processes.first:
            outcome.write(self.path)
            self._checkpoints.keep_newest()
            forget_stop(self.path)
        self._processes.wait()
        return outcome

    def restart(self, collapse: Collapsed) -> Restart:
        """Lay down that this attempt is over, and what the next one changes; of the first process."""
        finding = collapse.finding
        self._checkpoints.remove(after=begins_at(self.progress.good_step, self._restarts))
        begins = max(self._checkpoints.by_step(), default=0)
        restart = Restart(collapse.step, finding.check, finding.seen, change_of(finding), begins)
        add_restart(self.path, restart)
        return restart

    def lost(self, error: ProcessLost, *, save: bool) -> ProcessLost:
        """Save what can be saved, if anything, and say what is left."""
        if save:
            self.save()
        self.log.say(f"{error} stopped after step {self.progress.step}")
        paths = self._checkpoints.paths()
        left = f"the last checkpoint is {paths[-1].name}" if paths else "there is no checkpoint"
        command = self._objective.manner.setting.phase
        return ProcessLost(
            f"{error} The run ends after step {self.progress.step}; {left}. Go on, with as many processes as "
            f"you like, with `bertkit {command} -o {self._place.out} --resume`."
        )

    def stopped(self, step: int, why: str) -> Stopped:
        """Write what is needed to look into it, and say it; `step` is where the trouble began."""
        good = self._checkpoints.by_step().get(self.progress.good_step)
        checkpoint = str(good.relative_to(self.path)) if good else None
        if self._processes.first:
            batch = self._objective.manner.batch_of(step - 1)
            told: dict[str, Any] = {"step": step, "why": why, "batch": batch, "checkpoint": checkpoint}
            note_stop(self.path, told)
        self.log.say(why)
        self._processes.wait()
        left = f"the last good checkpoint is {checkpoint}" if checkpoint else "there is no good checkpoint"
        again = "Begin again with a lower --lr, a longer warm-up or a smaller optimiser.clip"
        if (self.path / "model").is_dir():
            again += f"; --model {self.path} goes on from the last good weights"
        return Stopped(
            f"{why} The run stopped; {left}, and {stop_note(self.path)} says what the batch of step {step} "
            f"was made of. {again}."
        )
