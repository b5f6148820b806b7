"""What a pretraining run leaves in its folder: how far it is, the model, the result, or why it stopped."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bertkit.checkpoint.folder import write_model_folder
from bertkit.checkpoint.locate import hub_card
from bertkit.health.watch import Watch
from bertkit.model.precision import Computing
from bertkit.recipe import PretrainRecipe
from bertkit.runs.checkpoints import Checkpoints
from bertkit.runs.folder import RESULT, STOPPED
from bertkit.runs.log import RunLog
from bertkit.runs.records import write_json
from bertkit.runs.restarts import Collapsed, Restart, add_restart, begins_at, change_of
from bertkit.train.processes import Processes
from bertkit.train.starting import Start
from bertkit.version import __version__


class Stopped(RuntimeError):
    """The run cannot sensibly go on: the message says at which step, why, and what is left."""


@dataclass
class Progress:
    """How far a run is; saved with the weights. `seconds` is wall time from start to end, all included.

    `good_step` is that of the last saved state from which the next step's loss and gradient were numbers, and
    which showed no sign of a collapse; 0 where there is none.
    """

    step: int = 0
    pieces: int = 0
    seconds: float = 0.0
    reserve: float = 0.0
    opened: bool = False
    log_size: int = 0
    evaluations: int = 0
    long_from: int | None = None
    train_mlm_loss: float = 0.0
    before: dict[str, float] = field(default_factory=dict)
    heldout: dict[str, float] = field(default_factory=dict)
    watch: dict[str, Any] = field(default_factory=dict)
    good_step: int = 0


class PretrainFolder:
    """The folder of one attempt at a run. Of several processes the first one writes.

    Args:
        path: the run folder; the newest checkpoint that is there is put into the model and its optimiser.
        recipe: with what the restarts changed.
        start: the model that is trained, and on what.
        processes: those of the run.
        restarts: the attempts before this one.

    Attributes:
        progress: how far the run is. Whoever trains keeps it up to date.

    Raises:
        UserError: the newest checkpoint is damaged, or of another model.
    """

    def __init__(
        self,
        path: Path,
        recipe: PretrainRecipe,
        start: Start,
        processes: Processes,
        restarts: list[Restart],
    ) -> None:
        self.path = path
        self.progress = Progress()
        self._recipe = recipe
        self._start = start
        self._processes = processes
        self._restarts = restarts
        self._checkpoints = Checkpoints(path, recipe.training.keep)
        if (saved := self._checkpoints.load(start.model, start.optimiser)) is not None:
            self.progress = Progress(**saved)

    @property
    def newest(self) -> Path | None:
        """The newest checkpoint, if there is one."""
        paths = self._checkpoints.paths()
        return paths[-1] if paths else None

    def save(self, log: RunLog) -> None:
        """Write a checkpoint, which holds the progress and how long the log is."""
        if self._processes.first:
            self.progress.log_size = log.flushed_size()
            self._checkpoints.save(
                self.progress.step,
                self._start.model,
                self._start.optimiser,
                asdict(self.progress),
                good=self.progress.good_step,
            )

    def write_model(self) -> None:
        """Write the model as it is now, in place of the one before."""
        if not self._processes.first:
            return
        card = {
            "kind": "pretraining",
            "steps": self.progress.step,
            "pieces": self.progress.pieces,
            "heldout": self.progress.heldout,
            "corpus": self._start.shards.fingerprint,
            "recipe": self._recipe.to_toml(),
            **hub_card(self._start.start),
            "restarts": [asdict(restart) for restart in self._restarts],
        }
        model = self._start.model
        write_model_folder(
            self.path / "model",
            model.encoder,
            None,
            self._start.shards.tokenizer,
            card,
            overwrite=True,
            masked=model.masked,
            pair=model.pair,
        )

    def stopped(self, step: int, why: str) -> Stopped:
        """Write what is needed to look into it, and say it; `step` is where the trouble began."""
        identity = asdict(self._start.objective.identity(step - 1))
        good = self._checkpoints.by_step().get(self.progress.good_step)
        checkpoint = str(good.relative_to(self.path)) if good else None
        if self._processes.first:
            write_json(
                self.path / STOPPED,
                {"step": step, "why": why, "batch": identity, "checkpoint": checkpoint},
            )
        left = f"the last good checkpoint is {checkpoint}" if checkpoint else "there is no good checkpoint"
        again = "Begin again with a lower --lr, a longer warm-up or a smaller optimiser.clip"
        if (self.path / "model").is_dir():
            again += f"; --model {self.path} goes on from the last good weights"
        return Stopped(
            f"{why} The run stopped; {left}, and {self.path / STOPPED} says what the batch of step {step} "
            f"was made of. {again}."
        )

    def restart(self, collapse: Collapsed) -> Restart:
        """Lay down that this attempt is over, and what the next one changes; of the first process."""
        finding = collapse.finding
        self._checkpoints.remove(after=begins_at(self.progress.good_step, self._restarts))
        begins = max(self._checkpoints.by_step(), default=0)
        restart = Restart(collapse.step, finding.check, finding.seen, change_of(finding), begins)
        add_restart(self.path, restart)
        return restart

    def finish(self, watch: Watch, precision: Computing) -> dict[str, Any]:
        """Write `result.json`, and remove what only a run that goes on needs; returns the result."""
        result = self._result(watch, precision)
        if self._processes.first:
            write_json(self.path / RESULT, result)
            self._checkpoints.remove()
            (self.path / STOPPED).unlink(missing_ok=True)
        return result

    def _result(self, watch: Watch, precision: Computing) -> dict[str, Any]:
        progress, shards, model = self.progress, self._start.shards, self._start.model
        pieces = sum(entry.pieces for entry in shards.of("train"))
        return {
            "kind": "pretraining",
            "model": self._recipe.model.start,
            "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "vocabulary_size": model.encoder.config.vocabulary_size,
            "corpus": {"pieces": pieces, "fingerprint": shards.fingerprint},
            "steps": progress.step,
            "pieces": progress.pieces,
            "epochs": self._start.objective.epochs(progress.step),
            "seconds": progress.seconds,
            "pieces_per_second": progress.pieces / progress.seconds,
            "train_loss": watch.smoothed,
            "train_mlm_loss": progress.train_mlm_loss,
            "heldout": progress.heldout or None,
            "before": progress.before or None,
            "floors": {"unigram": self._start.unigram, "uniform": math.log(shards.tokenizer.size)},
            "through_at": watch.through_at,
            "long_from": progress.long_from,
            "restarts": [asdict(restart) for restart in self._restarts],
            "processes": self._processes.count,
            "precision": precision,
            "version": __version__,
        }
