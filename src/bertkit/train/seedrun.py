"""One seed of a fine-tuning run: train, score after each epoch, keep the best, be able to go on."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bertkit.checkpoint.folder import write_model_folder
from bertkit.checkpoint.hub import hub_card
from bertkit.checkpoint.state import load_state, save_state
from bertkit.model.bulk import log_probabilities
from bertkit.model.precision import Computing
from bertkit.recipe import Recipe
from bertkit.tasks.calibration import fit_temperature, logarithms
from bertkit.tasks.metrics import confusion_matrix, summary
from bertkit.train.frozen import RowSource
from bertkit.train.listener import Listener
from bertkit.train.loop import Diverged, Interrupted, StepRecord, run_steps
from bertkit.train.objectives import Classification
from bertkit.train.optimiser import build_optimiser, rates
from bertkit.train.prepare import Prepared, build_classifier
from bertkit.train.results import SeedResult, status
from bertkit.train.runfolder import STATE
from bertkit.train.runlog import RunLog


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
    best_probabilities: list[list[float]] = field(default_factory=list)
    epochs_without_gain: int = 0
    patience_ended: bool = False
    diverged: bool = False


class SeedRun:
    """Trains one seed in `folder`, from its beginning or from the state that an earlier run left there."""

    def __init__(
        self,
        prepared: Prepared,
        recipe: Recipe,
        seed: int,
        folder: Path,
        precision: Computing,
        steps: int,
        rows: RowSource,
        listener: Listener,
    ) -> None:
        self.prepared = prepared
        self.recipe = recipe
        self.seed = seed
        self.folder = folder
        self.precision = precision
        self.steps = steps
        self.listener = listener
        torch.manual_seed(seed)
        self.model = build_classifier(prepared, recipe)
        self.optimiser = build_optimiser(self.model, recipe.optimiser)
        inputs = rows.of(self.model)
        self.dev_inputs = inputs.dev
        self.objective = Classification(inputs.train, prepared.train_labels, recipe.batch, seed)
        self.progress = Progress()
        if (folder / STATE).is_file():
            self.progress = Progress(**load_state(folder / STATE, self.model, self.optimiser))
        self.saved_at = time.perf_counter()

    def run(self) -> SeedResult:
        """Train to the end and return what was found; the state on disk is then no longer needed."""
        self.listener.seed_started(self.seed, self.progress.step, self.steps)
        with RunLog(self.folder, self.progress.log_size, self.progress.step) as self.log:
            self.log.say(f"seed {self.seed}: step {self.progress.step} of {self.steps}")
            try:
                if not self.progress.patience_ended:
                    self._train()
            except Diverged as error:
                # The weights are those before the update that was not made: they can still be scored.
                self.log.say(str(error))
                self.progress.diverged = True
                if self.progress.best_score is None:
                    self._evaluate()
            except Interrupted:
                self._save()
                self.log.say(f"interrupted after step {self.progress.step}")
                raise
            self.log.say(f"done: best score {self.progress.best_score} in epoch {self.progress.best_epoch}")
        result = self._result()
        result.write(self.folder)
        (self.folder / STATE).unlink(missing_ok=True)
        return result

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
        )

    def _after_step(self, record: StepRecord) -> bool:
        progress = self.progress
        progress.step = record.step
        progress.pieces += record.pieces
        progress.seconds += record.seconds
        progress.loss += record.loss
        progress.loss_steps += 1
        self.log.record(
            "train",
            record.step,
            epoch=record.step / self.objective.steps_per_epoch,
            loss=record.loss,
            learning_rate=record.learning_rate,
            gradient_norm=record.gradient_norm,
            pieces_per_second=record.pieces / record.seconds,
        )
        self.listener.stepped(record)
        if record.step % self.objective.steps_per_epoch == 0 or record.step == self.steps:
            self._evaluate()
        if time.perf_counter() - self.saved_at > self.recipe.training.save_every * 60:
            self._save()
        return progress.patience_ended

    def _evaluate(self) -> None:
        """Score the dev rows and keep the model if it is the best yet."""
        progress, prepared = self.progress, self.prepared
        logs = log_probabilities(self.model, self.dev_inputs, precision=self.precision)
        labels = prepared.dev_labels
        predictions = logs.argmax(axis=1)
        found = summary(confusion_matrix(labels, predictions, len(prepared.labels)), prepared.task.metric)
        epoch = progress.step / self.objective.steps_per_epoch
        train_loss = progress.loss / progress.loss_steps if progress.loss_steps else float("nan")
        progress.loss, progress.loss_steps = 0.0, 0
        loss = -float(logs[np.arange(len(labels)), labels].mean())
        self.log.record("evaluation", progress.step, epoch=epoch, loss=loss, train_loss=train_loss, **found)
        progress.last_score = found["score"]
        best = progress.best_score is None or found["score"] > progress.best_score
        progress.epochs_without_gain = 0 if best else progress.epochs_without_gain + 1
        if best:
            progress.best_score, progress.best_epoch = found["score"], epoch
            progress.best_status = status(
                predictions, found["interval"], prepared.baselines["majority"]["score"]
            )
            progress.best_probabilities = np.exp(logs).tolist()
            self._write_model(found, logs)
        self.listener.evaluated(epoch, train_loss, {**found, "loss": loss}, best)
        self.log.say(
            f"epoch {epoch:.3g}: {prepared.task.metric} {found['score']:.4f}, train loss {train_loss:.4f}"
        )
        patience = self.recipe.training.patience
        progress.patience_ended = 0 < patience <= progress.epochs_without_gain

    def _write_model(self, found: dict[str, Any], logs: np.ndarray[Any, Any]) -> None:
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
        }
        if self.recipe.training.temperature:
            fitted = fit_temperature(logarithms(np.exp(logs)), self.prepared.dev_labels)
            card["temperature"] = fitted
        write_model_folder(
            self.folder / "model",
            self.model.encoder,
            self.model.head,
            self.prepared.tokenizer,
            card,
            overwrite=True,
        )

    def _save(self) -> None:
        self.progress.log_size = self.log.flushed_size()
        (self.folder / STATE).parent.mkdir(exist_ok=True)
        save_state(self.folder / STATE, self.model, self.optimiser, asdict(self.progress))
        self.saved_at = time.perf_counter()

    def _result(self) -> SeedResult:
        progress = self.progress
        assert progress.best_score is not None, "a run ends with an evaluation"
        return SeedResult(
            seed=self.seed,
            score=progress.best_score,
            last_score=progress.last_score,
            status="diverged" if progress.diverged else progress.best_status,
            best_epoch=progress.best_epoch,
            steps=progress.step,
            pieces=progress.pieces,
            seconds=progress.seconds,
            probabilities=progress.best_probabilities,
            labels=self.prepared.dev_labels.tolist(),
        )
