"""One seed of a run: train, score what is held out, save, go on, begin again, know when to stop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict

from bertkit.errors import UserError
from bertkit.health.watch import Watch
from bertkit.model.optimisers import build_optimiser
from bertkit.runs.findings import Finding
from bertkit.runs.log import BROKE
from bertkit.runs.restarts import Collapsed, changed, may_restart, read_restarts, remembered
from bertkit.train.closing import Closing
from bertkit.train.loop import Diverged, Interrupted, StepRecord, deferred_signals, run_steps
from bertkit.train.objective import (
    Evaluated,
    Manner,
    Objective,
    Outcome,
    Progress,
    Source,
)
from bertkit.train.processes import ProcessLost
from bertkit.train.schedule import ByClock, Moment, Schedule
from bertkit.train.seedfolder import Place, SeedFolder
from bertkit.train.watching import Watching, collapse_among

BYTES_A_PARAMETER = 16
"""Of a checkpoint with its two moments, and of the model folder."""
SLOW_DISK = 100e6
"""Bytes a second."""


def train_seed(source: Source, place: Place, began: float) -> Outcome:
    """Train one seed, in another attempt after a collapse where the recipe wants that.

    Args:
        source: of the run.
        place: where, and which seed.
        began: the clock (`time.monotonic`) when its time began.

    Raises:
        UserError: a damaged checkpoint, or a budget that was used up before the first step.
        Stopped: the loss is no number, or rose suddenly, and the run keeps no best model.
        ProcessLost: another process of the run is gone; the run can be resumed.
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; the run can be resumed.
    """
    run = Run(source, place)
    # As if this process had begun when the seed did, without the time between its processes.
    run.began = began - run.progress.wall
    while True:
        try:
            return run.run()
        except Collapsed as collapse:
            if source.processes.first:
                source.listener.told(str(run.folder.restart(collapse)))
            source.processes.wait()
            # The time of the attempt that failed is spent, too.
            began = run.began
            run = Run(source, place)
            run.began = began


class Pace:
    """Where a run is: its moment, in shares of the run and in epochs.

    Args:
        manner: how the run goes.
        progress: how far it is.
    """

    def __init__(self, manner: Manner, progress: Progress) -> None:
        self._manner = manner
        self._progress = progress
        self.moment = Moment(0.0, 0.0)

    @property
    def done(self) -> float:
        """Share of the run that is done, as the watch counts it."""
        if self._manner.steps_per_epoch and self._manner.steps:
            return self._progress.step / self._manner.steps
        return self.moment.fraction

    def go(self, moment: Moment) -> None:
        """Take the moment before a step; of a run that trains on, a lesser share is done than was before."""
        self.moment = moment
        due = int(moment.fraction * self._manner.evaluations)
        self._progress.evaluations = min(self._progress.evaluations, due)

    def at(self, step: int) -> dict[str, float]:
        """How far the run is with so many updates, for the log."""
        if self._manner.steps_per_epoch:
            return {"epoch": step / self._manner.steps_per_epoch}
        return {"fraction": self.moment.fraction}

    def is_due(self) -> bool:
        """Whether an evaluation follows the step that was just made.

        The last one over text is the end's; one of rows may still find that the run is lost.
        """
        progress, manner = self._progress, self._manner
        if manner.steps_per_epoch:
            return progress.step % manner.steps_per_epoch == 0 or progress.step == manner.steps
        due = int(self.moment.fraction * manner.evaluations)
        if due <= progress.evaluations or progress.step == manner.steps:
            return False
        progress.evaluations = due
        return True


class Scorer:
    """Scores what is held out, logs it, and keeps the model if it is the best yet and that one is kept.

    Args:
        source: of the run.
        objective: of the seed.
        folder: of the seed, with its open log.
        pace: where it is.
        watching: takes what is found.
        patience: evaluations without a better one after which it is enough; 0 is any number.
        goes_back: whether the run is to begin again after a collapse.
    """

    def __init__(
        self,
        source: Source,
        objective: Objective,
        folder: SeedFolder,
        pace: Pace,
        watching: Watching,
        *,
        patience: int,
        goes_back: bool,
    ) -> None:
        self._source = source
        self._objective = objective
        self._keeps_best = objective.manner.keeps_best
        self._folder = folder
        self._progress = folder.progress
        self._pace = pace
        self._watching = watching
        self._patience = patience
        self._goes_back = goes_back

    def open(self, minutes: float, closing: Closing) -> None:
        """Do what comes before the first step; where the clock decides, see how long the end will take."""
        progress, log = self._progress, self._folder.log
        for note in self._source.notes:
            log.say(note)
        if progress.opened:
            return
        if self._objective.manner.floors:
            log.record("floors", 0, **self._objective.manner.floors)
        began = time.monotonic()
        if self._objective.manner.evaluations:
            self.evaluate()
        elif minutes:
            self._objective.evaluate(progress)
        if minutes:
            scoring = time.monotonic() - began
            parameters = sum(p.numel() for p in self._objective.model.parameters())
            saving = 1.0 + parameters * BYTES_A_PARAMETER / SLOW_DISK
            after = closing.share(minutes, scoring * self._objective.manner.scored_after)
            progress.reserve = scoring + saving + after
        progress.opened = True

    @property
    def is_done(self) -> bool:
        """Whether the model was scored as it is now."""
        return bool(self._progress.last) and self._progress.last["step"] == self._progress.step

    @property
    def is_enough(self) -> bool:
        """Whether patience has ended: in all processes alike, which agree on what is a better evaluation."""
        return 0 < self._patience <= self._progress.without_gain

    def evaluate(self) -> list[Finding]:
        """Score; what the watch finds in it.

        Raises:
            Diverged: the last update broke the model, of a run that keeps the last.
        """
        progress, found = self._progress, self._objective.evaluate(self._progress)
        progress.loss, progress.loss_steps = 0.0, 0
        if found is None:
            return []
        if found.figures:
            self._take(found)
        loss = found.watched.loss
        if progress.step and not math.isfinite(loss):
            if not self._keeps_best:
                raise Diverged(progress.step, loss, None)
            self.broke(progress.step, loss)
        return self._watching.evaluated(found.watched, self._pace.done, self._folder.log)

    def _take(self, found: Evaluated) -> None:
        """Log what was scored, and see whether it is the best yet."""
        progress, where = self._progress, self._pace.at(self._progress.step)
        self._folder.log.record("evaluation", progress.step, **where, **found.figures)
        # What another attempt goes back behind is not to be the best of that attempt.
        doubts = self._goes_back and self._watching.doubts(self._pace.done)
        doubted = bool(self._source.processes.agree(float(doubts)))
        best = progress.evaluated(found, doubted=doubted)
        if best and self._keeps_best:
            self._folder.write_model()
        self._source.listener.evaluated(progress.step, {**where, **found.figures}, best)
        if found.line:
            self._folder.log.say(found.line)

    def broke(self, step: int, loss: float) -> None:
        """Lay down that the model gives no numbers any more, as was first seen in or after `step`."""
        if not self._progress.broken:
            self._progress.broken = True
            self._folder.log.record(BROKE, step, **self._pace.at(step), loss=loss)


class Run:
    """One attempt at a seed, from its beginning or from the newest checkpoint; its time began at `began`."""

    def __init__(self, source: Source, place: Place) -> None:
        self.source, self.place = source, place
        self.processes, self.listener = source.processes, source.listener
        self.restarts = read_restarts(place.folder)
        recipe = changed(source.recipe, self.restarts)
        self.training, self.optimising = recipe.training, recipe.optimiser
        self.objective: Objective = source.objective(place.seed, self.restarts)
        self.model = self.objective.model
        self.manner: Manner = self.objective.manner
        self.optimiser = build_optimiser(self.model, recipe.optimiser)
        self.folder = SeedFolder(place, self.objective, self.optimiser, self.restarts, self.processes)
        self.progress = self.folder.progress
        self.from_step = self.progress.step
        self.whole = self.progress.opened  # What follows the newest step is done, too.
        self.pace = Pace(self.manner, self.progress)
        self.began = time.monotonic()
        restarting = self.training.on_collapse == "restart"
        self.watching = Watching(
            self.model,
            self.manner.setting,
            Watch(**remembered(self.progress.watch, self.progress.step, self.restarts)),
            self.manner.probe,
            every=self.training.watch_every,
            # A checkpoint is kept to begin again from at each evaluation, and has to be known to be good.
            also_every=self.manner.steps_per_epoch if restarting else 0,
            folder=place.folder,
            listener=self.listener,
            processes=self.processes,
        )
        self.goes_back = may_restart(self.training.on_collapse, self.restarts)
        self.scorer = Scorer(
            source,
            self.objective,
            self.folder,
            self.pace,
            self.watching,
            patience=self.training.patience,
            goes_back=self.goes_back,
        )

    def run(self) -> Outcome:
        """Train to the end; the state that is reached there is kept for a run that trains on."""
        progress = self.progress
        self.listener.seed_started(self.place.seed, progress.step, self.manner.steps)
        with self.folder.open() as self.log, deferred_signals() as interrupted:
            self.log.say(f"seed {self.place.seed}: step {progress.step}, processes: {self.processes.count}")
            try:
                self.scorer.open(self.place.minutes, self.place.closing)
                self.whole = True
                if self.processes.total(float(interrupted())):
                    raise Interrupted
                if not (self.scorer.is_enough or progress.collapse):
                    self._train()
                self._end()
            except Interrupted:
                self._save()
                self.log.say(f"interrupted after step {progress.step}")
                self.processes.wait()
                raise
            except ProcessLost as error:
                self._note()
                raise self.folder.lost(error, save=self.whole) from None
            except Diverged as error:
                # The update was not made, but where an evaluation found it.
                self.scorer.broke(error.step, error.loss)
                self._end_if_lost(self.watching.diverged(error, self.pace.done, self.log), error)
                self.log.say(str(error))
                self._end()
            self.log.say(f"done after step {progress.step}")
            self._note()
            return self.folder.finish()

    def _train(self) -> None:
        run_steps(
            self.model,
            self.objective,
            self.optimiser,
            rate=self._rate(self._schedule()),
            clip=self.optimising.clip,
            start=self.progress.step,
            seed=self.place.seed,
            compute=self.source.compute,
            after_step=self._after_step,
            before_update=self._before_update,
            while_sound=self._while_sound,
            processes=self.processes,
        )
        if not self.progress.step:
            given = self.training.budget
            raise UserError(f"The {given:g} minutes were used up before the first step; give more time.")
        self.pace.go(Moment(1.0, 0.0))

    def _schedule(self) -> Schedule:
        if self.manner.schedule is not None:
            return self.manner.schedule
        progress, spent = self.progress, time.monotonic() - self.began
        if not progress.step:
            progress.prepared = spent
        clock = self.place.minutes, spent, progress.prepared, progress.reserve
        return ByClock(*clock, self.processes.agree, self.optimising)

    def _rate(self, schedule: Schedule) -> Callable[[int], float | None]:
        def rate(step: int) -> float | None:
            if (moment := schedule(step)) is None:
                return None
            self.pace.go(moment)
            if line := self.objective.at(self.progress, moment.fraction):
                self.log.say(line)
            return moment.rate

        return rate

    def _before_update(self) -> None:
        self.objective.sums.add_up(self.processes.add)
        self.watching.before_update()

    def _while_sound(self) -> None:
        """Save the weights if it is time, and call those good that a restart may go back to.

        A run that keeps its last model saves none that something may be wrong with, and calls good what it
        saves, or what was there when this process began.
        """
        progress, done = self.progress, self.pace.done
        due = time.monotonic() - self.folder.saved_at > self.training.save_every * 60
        if self.manner.keeps_best:
            good = self.goes_back and self.scorer.is_done and self.watching.vouches(done)
            save = due or good
        else:
            good = (due or progress.step == self.from_step) and not self.watching.doubts(done)
            save = due and good
        if good:
            progress.good_step = progress.step
        if save and progress.step:
            self._save()
            if not self.manner.keeps_best:
                self.folder.write_model()

    def _after_step(self, record: StepRecord) -> bool:
        progress, sums = self.progress, self.objective.sums
        self.whole = False
        progress.stepped(record)
        where = self.pace.at(record.step)
        figures = {
            **where,
            "loss": record.loss,
            "learning_rate": record.learning_rate,
            "gradient_norm": record.gradient_norm,
            "tokens_per_second": record.tokens / record.seconds,
            **sums.of_step(record.tokens, record.seconds),
        }
        sums.clear()
        progress.smooth(figures.get(self.manner.loss))
        self.log.record("train", record.step, **figures)
        self.listener.stepped(record, self.pace.moment.fraction, figures)
        found = self.watching.stepped(record, self.log, where, self.pace.done)
        if self.pace.is_due():
            found += self.scorer.evaluate()
        self._end_if_lost(found)
        self.whole = True
        return self.scorer.is_enough or bool(progress.collapse)

    def _end(self) -> None:
        """Score the model as it is in the end; one that was lost, only where none was scored before."""
        progress = self.progress
        lost = progress.broken or bool(progress.collapse)
        if not (progress.best is not None if lost else self.scorer.is_done):
            self.scorer.evaluate()
        self._save()
        if not self.manner.keeps_best:
            self.folder.write_model()

    def _end_if_lost(self, found: list[Finding], error: Diverged | None = None) -> None:
        """Do what the recipe wants where what was found is a collapse, or where the loss is no number.

        Raises:
            Collapsed: the seed is to begin again.
            Stopped: it is ended, and keeps no best model.
        """
        lost, on_collapse = collapse_among(found), self.training.on_collapse
        if lost and self.goes_back:
            raise Collapsed(lost, self.progress.step)
        if self.manner.keeps_best:
            if lost and on_collapse == "stop":
                self.progress.collapse = lost.check
        elif error:
            raise self.folder.stopped(error.step, str(error)) from None
        elif lost and (lost.check == "loss_rose" or on_collapse != "continue"):
            raise self.folder.stopped(self.watching.watch.risen_at or self.progress.step, lost.seen)

    def _note(self) -> None:
        """Bring the progress up to date for who keeps it."""
        self.progress.wall = time.monotonic() - self.began
        self.progress.watch = asdict(self.watching.watch)

    def _save(self) -> None:
        self._note()
        self.folder.save()
