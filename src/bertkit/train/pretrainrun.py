"""One pretraining run: train, score held-out text, save, be able to go on, know when to stop."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertkit.errors import UserError
from bertkit.health.checks import check_before
from bertkit.health.watch import Evaluation
from bertkit.model.precision import choose_precision
from bertkit.model.work import gemm_rate
from bertkit.recipe import PretrainRecipe
from bertkit.runs.findings import Finding, append_findings
from bertkit.runs.history import NEWEST
from bertkit.runs.log import BROKE, open_log
from bertkit.runs.restarts import Collapsed, Restart, changed, may_restart, remembered
from bertkit.train.listener import PretrainListener
from bertkit.train.loop import Diverged, Interrupted, StepRecord, deferred_signals, run_steps
from bertkit.train.preflight_pretrain import measure_pretraining
from bertkit.train.pretrainfolder import PretrainFolder, Stopped
from bertkit.train.pretrainwatch import watch_pretraining
from bertkit.train.processes import Processes, ProcessLost
from bertkit.train.restoring import Tally, score
from bertkit.train.schedule import ByClock, BySteps, Moment, Schedule
from bertkit.train.starting import Start, facts_of
from bertkit.train.watching import collapse_among

BYTES_A_PARAMETER = 16
"""Of a checkpoint with its two moments, and of the model folder."""
SLOW_DISK = 100e6
"""Bytes a second."""


class PretrainRun:
    """One run, from its beginning or from the newest checkpoint in its folder."""

    def __init__(
        self,
        recipe: PretrainRecipe,
        start: Start,
        out: Path,
        processes: Processes,
        listener: PretrainListener,
        began: float,
        restarts: list[Restart],
    ) -> None:
        self.restarts = restarts
        self.recipe = changed(recipe, restarts)
        self.start = start
        self.processes = processes
        self.listener = listener
        self.precision = choose_precision(recipe.training.precision)
        self.model = start.model
        self.objective = start.objective
        self.optimiser = start.optimiser
        self.folder = PretrainFolder(out, self.recipe, start, processes, restarts)
        self.progress = self.folder.progress
        self.from_step = self.progress.step
        self.objective.long_from = self.progress.long_from
        self.uniform = math.log(start.shards.tokenizer.size)
        self.watching = watch_pretraining(
            self.recipe,
            start,
            self.precision,
            remembered(self.progress.watch, self.progress.step, restarts),
            folder=out,
            processes=processes,
            listener=listener,
        )
        # As if this process had begun when the run did, the time between its processes left out.
        self.began = began - self.progress.seconds
        self.saved_at = time.monotonic()
        # 0 where the clock decides.
        self.steps = recipe.training.steps if start.replay is None else len(start.replay)
        self.moment = Moment(0.0, 0.0)
        # GEMM rate of all processes together, FLOP/s.
        self.peak = processes.total(gemm_rate(self.precision))

    def run(self) -> dict[str, Any]:
        """Train to the end."""
        log = open_log(
            self.folder.path, self.progress.log_size, self.progress.step, first=self.processes.first
        )
        with log as self.log, deferred_signals() as interrupted:
            self.log.say(f"step {self.progress.step}, processes: {self.processes.count}")
            try:
                self._open()
                if self.processes.total(float(interrupted())):
                    raise Interrupted
                self._train()
                if not self.progress.step:
                    raise UserError(
                        f"The budget of {self.recipe.training.budget:g} minutes was used up before the first "
                        "step; give more time."
                    )
                self.moment = Moment(1.0, 0.0)
                if not self._evaluated_now():
                    self._evaluate()
                self._save()
            except Interrupted:
                self._save()
                self.log.say(f"interrupted after step {self.progress.step}")
                self.processes.wait()
                raise
            except ProcessLost as error:
                raise self._lost(error) from None
            except Diverged as error:
                # Nothing is saved: the weights are those that break.
                self.log.record(BROKE, error.step, fraction=self.moment.fraction, loss=error.loss)
                self._begin_again_if_lost(self.watching.diverged(error, self.moment.fraction, self.log))
                raise self._stopped(error.step, str(error)) from None
            self.folder.write_model()
            self.log.say(f"done after step {self.progress.step}")
            self.progress.seconds = time.monotonic() - self.began
            result = self.folder.finish(self.watching.watch, self.precision)
            self.processes.wait()
        self.listener.finished(result)
        return result

    def _open(self) -> None:
        """Say what is about to run, and score what it begins with."""
        progress = self.progress
        self.listener.planned(
            facts_of(self.recipe, self.start, self.processes, self.precision, self.peak, progress.step)
        )
        if self.start.new:
            self._tell(f"{self.recipe.model.start} has no {', no '.join(self.start.new)}: fresh weights.")
        if not progress.opened:
            self.log.record("floors", 0, unigram=self.start.unigram, uniform=self.uniform)
            self._look()
            progress.reserve = self._evaluate() + self._seconds_to_save()
            progress.opened = True

    def _look(self) -> None:
        """Say what is wrong before the first step, as far as it is quick to see; the first process does."""
        if self.processes.first:
            found = check_before(measure_pretraining(self.recipe, self.start, self.precision))
            append_findings(self.folder.path, "preflight", 0, found)
            self.listener.found(found)

    def _seconds_to_save(self) -> float:
        """Time to keep of a budget for the last checkpoint and the model folder, at a slow disk's speed."""
        parameters = sum(p.numel() for p in self.model.parameters())
        return 1.0 + parameters * BYTES_A_PARAMETER / SLOW_DISK

    def _lost(self, error: ProcessLost) -> ProcessLost:
        """Save what can be saved, and say what is left."""
        self._save()
        self.log.say(f"{error} stopped after step {self.progress.step}")
        newest = self.folder.newest
        left = f"the last checkpoint is {newest.name}" if newest else "there is no checkpoint"
        return ProcessLost(
            f"{error} The run ends after step {self.progress.step}; {left}. Go on, with as many processes as "
            f"you like, with `bertkit pretrain -o {self.folder.path} --resume`."
        )

    def _train(self) -> None:
        schedule = self._schedule()

        def rate(step: int) -> float | None:
            moment = schedule(step)
            if moment is None:
                return None
            self.moment = moment
            long = self.recipe.batch.long_share and moment.fraction >= 1 - self.recipe.batch.long_share
            if long and self.objective.long_from is None:
                self.objective.long_from = self.progress.long_from = step
                self.log.say(f"sequences of up to {self.recipe.batch.long_length} from step {step + 1}")
            return moment.rate

        run_steps(
            self.model,
            self.objective,
            self.optimiser,
            rate=rate,
            clip=self.recipe.optimiser.clip,
            start=self.progress.step,
            seed=self.recipe.training.seed,
            precision=self.precision,
            after_step=self._after_step,
            before_update=self._before_update,
            while_sound=self._while_sound,
            processes=self.processes,
        )

    def _schedule(self) -> Schedule:
        training = self.recipe.training
        if training.budget:
            spent = time.monotonic() - self.began
            return ByClock(
                training.budget, spent, self.progress.reserve, self.processes.agree, self.recipe.optimiser
            )
        if self.start.replay is not None:
            return self.start.replay
        return BySteps(training.steps, self.recipe.optimiser)

    def _before_update(self) -> None:
        self.objective.tally.add_up(self.processes)
        self.watching.before_update()

    def _while_sound(self) -> None:
        """Save the weights if it is time, or call those good that were there when this process began.

        Not while something may be wrong: what is kept is to be good.
        """
        due = time.monotonic() - self.saved_at > self.recipe.training.save_every * 60
        if (due or self.progress.step == self.from_step) and not self.watching.doubts(self.moment.fraction):
            self.progress.good_step = self.progress.step
            if due and self.progress.step:
                self._save()
                self.folder.write_model()

    def _after_step(self, record: StepRecord) -> bool:
        progress, tally = self.progress, self.objective.tally
        self.objective.tally = Tally()
        progress.step = record.step
        progress.pieces += record.pieces
        figures = {
            "fraction": self.moment.fraction,
            "loss": record.loss,
            "learning_rate": record.learning_rate,
            "gradient_norm": record.gradient_norm,
            "pieces": record.pieces,
            "pieces_per_second": record.pieces / record.seconds,
            "gemm_share": tally.flops / record.seconds / self.peak,
            **tally.figures(),
            **self.objective.realised.shares(),
        }
        if "mlm_loss" in figures:  # Smoothed over the last hundred steps.
            share = max(NEWEST, 1 / record.step)
            progress.train_mlm_loss += share * (figures["mlm_loss"] - progress.train_mlm_loss)
        self.log.record("train", record.step, **figures)
        self.listener.stepped(record, self.moment.fraction, figures)
        fraction = self.moment.fraction
        self._stop_if_lost(self.watching.stepped(record, self.log, {"fraction": fraction}, fraction))
        due = int(self.moment.fraction * self.recipe.training.evaluations)
        # The last step's is that of the whole run, which comes behind it.
        if due > progress.evaluations and record.step != self.steps:
            self._evaluate()
            progress.evaluations = due
        return False

    def _evaluated_now(self) -> bool:
        return bool(self.progress.heldout) and self.progress.heldout["step"] == self.progress.step

    def _evaluate(self) -> float:
        """Score the held-out text; returns the seconds that it took.

        Raises:
            Diverged: the last update broke the model.
        """
        began = time.monotonic()
        progress, heldout = self.progress, self.start.heldout
        if heldout is None:
            if progress.step:
                parts = self.objective.batches(progress.step - 1)
                self._see_it_is_whole(score(self.model, parts, self.precision, self.processes))
                self._judge(progress.train_mlm_loss)
        else:
            found = score(self.model, heldout.parts, self.precision, self.processes)
            progress.heldout = {"step": progress.step, **found}
            progress.before = progress.before or found
            self.log.record("evaluation", progress.step, fraction=self.moment.fraction, **found)
            self.listener.evaluated(progress.step, self.moment.fraction, found)
            self._see_it_is_whole(found)
            self._judge(found["mlm_loss"])
        return time.monotonic() - began

    def _see_it_is_whole(self, found: dict[str, float]) -> None:
        """Raise `Diverged` where the last update left weights whose loss is no number."""
        loss = found.get("mlm_loss", 0.0)
        if self.progress.step and not math.isfinite(loss):
            raise Diverged(self.progress.step, loss, None)

    def _judge(self, loss: float) -> None:
        """Say what there is to say of the MLM loss that was just found."""
        step, unigram = self.progress.step, self.start.unigram
        if self.watching.watch.passed(step, loss, unigram):
            self._tell(
                f"The loss {loss:.3f} broke through the plateau of word frequencies ({unigram:.3f}) by "
                f"step {step:,}: the model uses the context."
            )
        evaluation = Evaluation(step=step, train_loss=self.progress.train_mlm_loss, loss=loss)
        self.watching.evaluated(evaluation, self.moment.fraction, self.log)

    def _stop_if_lost(self, found: list[Finding]) -> None:
        """End the run where what was found is a collapse, and the recipe has it ended.

        Raises:
            Stopped: it is ended.
        """
        lost = collapse_among(found)
        self._begin_again_if_lost(found)
        if lost and (lost.check == "loss_rose" or self.recipe.training.on_collapse != "continue"):
            raise self._stopped(self.watching.watch.risen_at or self.progress.step, lost.seen)

    def _begin_again_if_lost(self, found: list[Finding]) -> None:
        lost = collapse_among(found)
        if lost and may_restart(self.recipe.training.on_collapse, self.restarts):
            raise Collapsed(lost, self.progress.step)

    def _tell(self, sentence: str) -> None:
        self.log.say(sentence)
        self.listener.told(sentence)

    def _save(self) -> None:
        progress = self.progress
        progress.seconds = time.monotonic() - self.began
        progress.watch = asdict(self.watching.watch)
        self.saved_at = time.monotonic()
        self.folder.save(self.log)

    def _stopped(self, step: int, why: str) -> Stopped:
        stopped = self.folder.stopped(step, why)
        self.log.say(why)
        self.processes.wait()
        return stopped
