"""One seed of a fine-tuning run: train, score after each epoch, keep the best, be able to go on."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bertkit.checkpoint.folder import write_model_folder
from bertkit.checkpoint.locate import hub_card
from bertkit.checkpoint.state import load_state, save_state
from bertkit.health.watch import Evaluation
from bertkit.model.bulk import log_probabilities
from bertkit.model.optimisers import build_optimiser
from bertkit.model.precision import Computing
from bertkit.recipe import Recipe
from bertkit.runs.findings import Finding
from bertkit.runs.folder import STATE
from bertkit.runs.log import BROKE, RunLog
from bertkit.runs.restarts import (
    Collapsed,
    Restart,
    add_restart,
    begins_at,
    change_of,
    changed,
    may_restart,
    read_restarts,
    remembered,
)
from bertkit.runs.result import Answers, SeedResult
from bertkit.tasks.calibration import fit_temperature, logarithms
from bertkit.tasks.kind import one_answer
from bertkit.tasks.metrics import summary
from bertkit.train.feature_cache import RowSource
from bertkit.train.listener import Listener
from bertkit.train.loop import Diverged, Interrupted, StepRecord, run_steps
from bertkit.train.objectives import Classification
from bertkit.train.prepare import Prepared, build_classifier
from bertkit.train.schedule import rates
from bertkit.train.seedwatch import watch_seed
from bertkit.train.watching import collapse_among

GOOD = "checkpoint/good.safetensors"
"""The state of the last evaluation that showed no sign of a collapse, where the recipe may go back to it."""


@dataclass
class Progress:
    """How far a seed is; saved with the weights. `loss` and `loss_steps` sum over the epoch under way."""

    step: int = 0
    pieces: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    loss_steps: int = 0
    log_size: int = 0
    last_score: float = 0.0
    best_score: float | None = None
    best_epoch: float = 0.0
    best_status: str = ""
    epochs_without_gain: int = 0
    patience_ended: bool = False
    diverged: bool = False
    collapse: str = ""
    good_step: int = 0
    watch: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shared:
    """What all seeds of a run have in common; `steps` are the updates of each."""

    prepared: Prepared
    recipe: Recipe
    precision: Computing
    steps: int
    rows: RowSource
    listener: Listener


class SeedRun:
    """One attempt at a seed, from its beginning or from the state that an earlier run left in `folder`."""

    def __init__(self, shared: Shared, seed: int, folder: Path) -> None:
        self.prepared = prepared = shared.prepared
        self.restarts = read_restarts(folder)
        self.recipe = recipe = changed(shared.recipe, self.restarts)
        self.seed = seed
        self.folder = folder
        self.precision = shared.precision
        self.steps = shared.steps
        self.listener = shared.listener
        torch.manual_seed(seed)
        self.model = build_classifier(prepared, recipe)
        self.optimiser = build_optimiser(self.model, recipe.optimiser)
        inputs = shared.rows.of(self.model)
        self.dev_inputs = inputs.dev
        self.objective = Classification(inputs.train, prepared.train_labels, recipe.batch, seed)
        self.state = folder / (
            STATE if not self.restarts else f"checkpoint/state-{len(self.restarts)}.safetensors"
        )
        self.good = folder / GOOD
        saved = next((path for path in (self.state, self.good) if path.is_file()), None)
        self.progress = Progress()
        if saved is not None:
            self.progress = Progress(**load_state(saved, self.model, self.optimiser))
        self.watching = watch_seed(
            prepared,
            recipe,
            self.model,
            self.precision,
            remembered(self.progress.watch, self.progress.step, self.restarts),
            steps_per_epoch=self.objective.steps_per_epoch,
            folder=folder,
            listener=self.listener,
        )
        self.saved_at = time.perf_counter()

    def run(self) -> SeedResult:
        """Train to the end and return what was found; the state on disk is then no longer needed."""
        self.listener.seed_started(self.seed, self.progress.step, self.steps)
        with RunLog(self.folder, self.progress.log_size, self.progress.step) as self.log:
            self.log.say(f"seed {self.seed}: step {self.progress.step} of {self.steps}")
            try:
                if not (self.progress.patience_ended or self.progress.collapse):
                    self._train()
            except Diverged as error:
                self.log.say(str(error))
                self._broke(error.step, error.loss)
                self._end_if_lost(self.watching.diverged(error, self._fraction, self.log))
                # The weights are those before the update that was not made: they can still be scored.
                if self.progress.best_score is None:
                    self._evaluate()
            except Interrupted:
                self._save(self.state)
                self.log.say(f"interrupted after step {self.progress.step}")
                raise
            self.log.say(f"done: best score {self.progress.best_score} in epoch {self.progress.best_epoch}")
        result = self._result()
        result.write(self.folder)
        shutil.rmtree(self.state.parent, ignore_errors=True)
        return result

    def restart(self, collapse: Collapsed) -> Restart:
        """Lay down that this attempt is over, and what the next one changes."""
        finding, good = collapse.finding, begins_at(self.progress.good_step, self.restarts)
        if not good:
            self.good.unlink(missing_ok=True)
        restart = Restart(collapse.step, finding.check, finding.seen, change_of(finding), good)
        add_restart(self.folder, restart)
        return restart

    @property
    def _fraction(self) -> float:
        return self.progress.step / self.steps

    def _train(self) -> None:
        run_steps(
            self.model,
            self.objective,
            self.optimiser,
            rate=rates(self.steps, self.recipe.optimiser),
            clip=self.recipe.optimiser.clip,
            start=self.progress.step,
            seed=self.seed,
            precision=self.precision,
            after_step=self._after_step,
            before_update=self.watching.before_update,
        )

    def _after_step(self, record: StepRecord) -> bool:
        progress = self.progress
        progress.step = record.step
        progress.pieces += record.pieces
        progress.seconds += record.seconds
        progress.loss += record.loss
        progress.loss_steps += 1
        epoch = record.step / self.objective.steps_per_epoch
        self.log.record(
            "train",
            record.step,
            epoch=epoch,
            loss=record.loss,
            learning_rate=record.learning_rate,
            gradient_norm=record.gradient_norm,
            pieces_per_second=record.pieces / record.seconds,
        )
        self.listener.stepped(record)
        found = self.watching.stepped(record, self.log, {"epoch": epoch}, self._fraction)
        if record.step % self.objective.steps_per_epoch == 0 or record.step == self.steps:
            found += self._evaluate()
        self._end_if_lost(found)
        if time.perf_counter() - self.saved_at > self.recipe.training.save_every * 60:
            self._save(self.state)
        return progress.patience_ended or bool(progress.collapse)

    def _broke(self, step: int, loss: float) -> None:
        """Lay down that the model gives no numbers any more, as was first seen in or after `step`."""
        if not self.progress.diverged:
            self.progress.diverged = True
            self.log.record(BROKE, step, epoch=step / self.objective.steps_per_epoch, loss=loss)

    def _end_if_lost(self, found: list[Finding]) -> None:
        """Do what the recipe wants where something that was found is a collapse.

        Raises:
            Collapsed: the seed is to begin again.
        """
        lost = collapse_among(found)
        on_collapse = self.recipe.training.on_collapse
        if lost is None or on_collapse == "continue":
            return
        if may_restart(on_collapse, self.restarts):
            raise Collapsed(lost, self.progress.step)
        if on_collapse == "stop":
            self.progress.collapse = lost.check
            if self.progress.best_score is None:
                self._evaluate()

    def _evaluate(self) -> list[Finding]:
        """Score the dev rows and keep the model if it is the best yet; what the watch finds in it."""
        progress, prepared, kind = self.progress, self.prepared, self.prepared.kind
        outputs = log_probabilities(self.model, self.dev_inputs, precision=self.precision)
        targets, metric = prepared.dev.known, kind.metric(prepared.task.metric)
        predictions = kind.predict(outputs)
        adds = kind.adds(targets, predictions, prepared.labels)
        found = summary(kind.metrics, adds, metric.name)
        epoch = progress.step / self.objective.steps_per_epoch
        train_loss = progress.loss / progress.loss_steps if progress.loss_steps else float("nan")
        progress.loss, progress.loss_steps = 0.0, 0
        loss = float(kind.losses(targets, outputs, 1.0).mean())
        if not math.isfinite(loss):
            self._broke(progress.step, loss)
        self.log.record("evaluation", progress.step, epoch=epoch, loss=loss, train_loss=train_loss, **found)
        progress.last_score = found["score"]
        # What another attempt goes back behind is not to be the best of that attempt.
        goes_back = may_restart(self.recipe.training.on_collapse, self.restarts)
        doubted = goes_back and self.watching.doubts(self._fraction)
        best = progress.best_score is None or (
            metric.better(found["score"], progress.best_score) and not doubted
        )
        progress.epochs_without_gain = 0 if best else progress.epochs_without_gain + 1
        if best:
            progress.best_score, progress.best_epoch = found["score"], epoch
            progress.best_status = kind.status(predictions, found["interval"], metric.name, prepared.blind)
            Answers(targets, outputs, adds).write(self.folder)
            self._write_model(found, outputs)
        self.listener.evaluated(epoch, train_loss, {**found, "loss": loss}, best)
        self.log.say(
            f"epoch {epoch:.3g}: {prepared.task.metric} {found['score']:.4f}, train loss {train_loss:.4f}"
        )
        patience = self.recipe.training.patience
        progress.patience_ended = 0 < patience <= progress.epochs_without_gain
        evaluation = Evaluation(
            step=progress.step,
            train_loss=train_loss,
            loss=loss,
            one_answer=one_answer(predictions),
            beats_majority=metric.beats(found["interval"], prepared.blind),
        )
        judged = self.watching.evaluated(evaluation, self._fraction, self.log)
        if goes_back and self.watching.vouches(self._fraction):
            progress.good_step = progress.step
            self._save(self.good)
        return judged

    def _write_model(self, found: dict[str, Any], outputs: np.ndarray[Any, Any]) -> None:
        card: dict[str, Any] = {
            "task": self.prepared.task.name,
            "kind": self.prepared.task.kind,
            "labels": list(self.prepared.labels),
            "pairs": self.prepared.train.pairs is not None,
            **asdict(self.recipe.batch.reading),
            "metric": self.prepared.task.metric,
            "score": found["score"],
            "interval": found["interval"],
            "recipe": self.recipe.to_toml(),
            **hub_card(self.prepared.start),
            "restarts": [asdict(restart) for restart in self.restarts],
        }
        if self.recipe.training.temperature:
            fitted = fit_temperature(logarithms(np.exp(outputs)), self.prepared.dev_labels)
            card["temperature"] = fitted
        write_model_folder(
            self.folder / "model",
            self.model.encoder,
            self.model.head,
            self.prepared.tokenizer,
            card,
            overwrite=True,
        )

    def _save(self, path: Path) -> None:
        self.progress.log_size = self.log.flushed_size()
        self.progress.watch = asdict(self.watching.watch)
        path.parent.mkdir(exist_ok=True)
        save_state(path, self.model, self.optimiser, asdict(self.progress))
        if path == self.state:
            self.saved_at = time.perf_counter()

    def _result(self) -> SeedResult:
        progress = self.progress
        assert progress.best_score is not None, "a run ends with an evaluation"
        return SeedResult(
            seed=self.seed,
            score=progress.best_score,
            last_score=progress.last_score,
            status=self._status(),
            best_epoch=progress.best_epoch,
            steps=progress.step,
            pieces=progress.pieces,
            seconds=progress.seconds,
            collapse=progress.collapse,
            restarts=[asdict(restart) for restart in self.restarts],
        )

    def _status(self) -> str:
        if self.progress.diverged:
            return "diverged"
        return "collapsed" if self.progress.collapse else self.progress.best_status
