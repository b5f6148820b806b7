"""One pretraining run: train, score held-out text, save, be able to go on, know when to stop."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bertkit import __version__
from bertkit.checkpoint.folder import write_model_folder
from bertkit.errors import UserError
from bertkit.model.precision import choose_precision
from bertkit.model.work import gemm_rate
from bertkit.recipe import PretrainRecipe
from bertkit.train.checkpoints import Checkpoints
from bertkit.train.listener import PretrainListener
from bertkit.train.loop import Diverged, Interrupted, StepRecord, run_steps
from bertkit.train.optimiser import build_optimiser
from bertkit.train.processes import Processes, ProcessLost
from bertkit.train.restoring import Tally, score
from bertkit.train.results import write_json
from bertkit.train.runfolder import RESULT
from bertkit.train.runlog import open_log
from bertkit.train.schedule import ByClock, ByLog, BySteps, Moment, Schedule
from bertkit.train.starting import Start, facts_of
from bertkit.train.watch import Watch

STOPPED = "stopped.json"
SECONDS_TO_SAVE = 1.0
"""Kept of a budget for the last checkpoint, beside the time of the last evaluation."""


class Stopped(RuntimeError):
    """The run cannot sensibly go on: the message says at which step, why, and what is left."""


@dataclass
class Progress:
    """How far a run is; saved with the weights. `seconds` is wall time from start to end, all included."""

    step: int = 0
    pieces: int = 0
    seconds: float = 0.0
    reserve: float = 0.0
    log_size: int = 0
    evaluations: int = 0
    long_from: int | None = None
    train_mlm_loss: float = 0.0
    before: dict[str, float] = field(default_factory=dict)
    heldout: dict[str, float] = field(default_factory=dict)
    watch: dict[str, Any] = field(default_factory=dict)


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
    ) -> None:
        self.recipe = recipe
        self.start = start
        self.out = out
        self.processes = processes
        self.listener = listener
        self.precision = choose_precision(recipe.training.precision)
        self.model = start.model
        self.objective = start.objective
        self.optimiser = build_optimiser(self.model, recipe.optimiser)
        self.checkpoints = Checkpoints(out, recipe.training.keep)
        self.progress = Progress()
        if (saved := self.checkpoints.load(self.model, self.optimiser)) is not None:
            self.progress = Progress(**saved)
            self.objective.long_from = self.progress.long_from
        uniform = math.log(start.shards.tokenizer.size)
        self.watch = Watch(**{"unigram": start.unigram, "uniform": uniform, **self.progress.watch})
        # As if this process had begun when the run did, the time between its processes left out.
        self.began = began - self.progress.seconds
        self.saved_at = time.monotonic()
        self.moment = Moment(0.0, 0.0)
        # GEMM rate of all processes together, FLOP/s.
        self.peak = processes.total(gemm_rate(self.precision))

    def run(self) -> dict[str, Any]:
        """Train to the end."""
        with open_log(self.out, self.progress.log_size, self.progress.step, self.processes) as self.log:
            self.log.say(f"step {self.progress.step}, processes: {self.processes.count}")
            self.listener.planned(
                facts_of(
                    self.recipe, self.start, self.processes, self.precision, self.peak, self.progress.step
                )
            )
            if self.progress.step == 0:
                self.log.record("floors", 0, unigram=self.watch.unigram, uniform=self.watch.uniform)
                self.progress.reserve = self._evaluate() + SECONDS_TO_SAVE
            try:
                self._train(self._schedule())
            except Interrupted:
                self._save()
                self.log.say(f"interrupted after step {self.progress.step}")
                raise
            except ProcessLost as error:
                self._save()
                self.log.say(f"{error} stopped after step {self.progress.step}")
                raise ProcessLost(
                    f"{error} The run is saved after step {self.progress.step}; go on, with as many "
                    f"processes as you like, with `bertkit pretrain -o {self.out} --resume`."
                ) from None
            except Diverged as error:
                self._save()
                raise self._stopped(error.step, str(error)) from None
            if not self._evaluated_now():
                self._evaluate()
            self._write_model()
            self.log.say(f"done after step {self.progress.step}")
        result = self._result()
        if self.processes.first:
            write_json(self.out / RESULT, result)
            self.checkpoints.remove()
        self.listener.finished(result)
        return result

    def _train(self, schedule: Schedule) -> None:
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
            processes=self.processes,
        )

    def _schedule(self) -> Schedule:
        training = self.recipe.training
        if training.budget:
            spent = time.monotonic() - self.began
            return ByClock(
                training.budget, spent, self.progress.reserve, self.processes.agree, self.recipe.optimiser
            )
        if training.replay:
            return ByLog(Path(training.replay))
        if not training.steps:
            raise UserError("Say how long to train: --budget 1h, or --steps N.")
        return BySteps(training.steps, self.recipe.optimiser)

    def _after_step(self, record: StepRecord) -> bool:
        progress, tally = self.progress, self.objective.tally
        self.objective.tally = Tally()
        tally.add_up(self.processes)
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
            share = max(0.01, 1 / record.step)
            progress.train_mlm_loss += share * (figures["mlm_loss"] - progress.train_mlm_loss)
        self.log.record("train", record.step, **figures)
        self.listener.stepped(record, self.moment.fraction, figures)
        if self.watch.stepped(record.loss, self.recipe.training.spike):
            raise self._stopped(
                record.step,
                f"The loss rose suddenly: smoothed it is {self.watch.smoothed:.3f}, and it was "
                f"{self.watch.lowest:.3f} (step {record.step}).",
            )
        due = int(self.moment.fraction * self.recipe.training.evaluations)
        if due > progress.evaluations:
            progress.evaluations = due
            self._evaluate()
        if time.monotonic() - self.saved_at > self.recipe.training.save_every * 60:
            self._save()
            self._write_model()
        return False

    def _evaluated_now(self) -> bool:
        return bool(self.progress.heldout) and self.progress.heldout["step"] == self.progress.step

    def _evaluate(self) -> float:
        """Score the held-out text; returns the seconds that it took."""
        began = time.monotonic()
        progress, heldout = self.progress, self.start.heldout
        if heldout is None:
            found, loss = {}, self.watch.smoothed
            said = self.watch.scored(progress.step, self.moment.fraction, loss) if progress.step else None
        else:
            found = score(self.model, heldout.parts, self.precision, self.processes)
            progress.heldout = {"step": progress.step, **found}
            progress.before = progress.before or found
            self.log.record("evaluation", progress.step, fraction=self.moment.fraction, **found)
            said = self.watch.scored(progress.step, self.moment.fraction, found["mlm_loss"])
            self.listener.evaluated(progress.step, self.moment.fraction, found)
        if said:
            self.log.say(said)
            self.listener.told(said)
        return time.monotonic() - began

    def _save(self) -> None:
        progress = self.progress
        progress.seconds = time.monotonic() - self.began
        progress.watch = asdict(self.watch)
        self.saved_at = time.monotonic()
        if self.processes.first:
            progress.log_size = self.log.flushed_size()
            self.checkpoints.save(progress.step, self.model, self.optimiser, asdict(progress))

    def _write_model(self) -> None:
        if not self.processes.first:
            return
        card = {
            "kind": "pretraining",
            "steps": self.progress.step,
            "pieces": self.progress.pieces,
            "heldout": self.progress.heldout,
            "corpus": self.start.shards.fingerprint,
            "recipe": self.recipe.to_toml(),
        }
        write_model_folder(
            self.out / "model",
            self.model.encoder,
            None,
            self.start.shards.tokenizer,
            card,
            overwrite=True,
            masked=self.model.masked,
            pair=self.model.pair,
        )

    def _stopped(self, step: int, why: str) -> Stopped:
        """Write what is needed to look into it, and say it."""
        identity = asdict(self.objective.identity(step - 1))
        paths = self.checkpoints.paths()
        checkpoint = str(paths[-1].relative_to(self.out)) if paths else None
        if self.processes.first:
            write_json(
                self.out / STOPPED,
                {"step": step, "why": why, "batch": identity, "checkpoint": checkpoint},
            )
        self.log.say(why)
        left = f"the last good checkpoint is {checkpoint}" if checkpoint else "there is no checkpoint yet"
        return Stopped(
            f"{why} The run stopped; {left}, and {self.out / STOPPED} says what the batch of step {step} was "
            "made of. A lower --lr, a longer warm-up or a smaller optimiser.clip may help."
        )

    def _result(self) -> dict[str, Any]:
        progress, shards = self.progress, self.start.shards
        progress.seconds = time.monotonic() - self.began
        config = self.model.encoder.config
        pieces = sum(entry.pieces for entry in shards.of("train"))
        return {
            "kind": "pretraining",
            "model": self.recipe.model.start,
            "parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "vocabulary_size": config.vocabulary_size,
            "corpus": {"pieces": pieces, "fingerprint": shards.fingerprint},
            "steps": progress.step,
            "pieces": progress.pieces,
            "epochs": progress.pieces / pieces,
            "seconds": progress.seconds,
            "pieces_per_second": progress.pieces / progress.seconds,
            "train_loss": self.watch.smoothed,
            "train_mlm_loss": progress.train_mlm_loss,
            "heldout": progress.heldout or None,
            "before": progress.before or None,
            "floors": {"unigram": self.watch.unigram, "uniform": self.watch.uniform},
            "through_at": self.watch.through_at,
            "long_from": progress.long_from,
            "processes": self.processes.count,
            "precision": self.precision,
            "version": __version__,
        }
