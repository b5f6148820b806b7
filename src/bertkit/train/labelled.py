"""The objective of a run over labelled rows: a head that says what each row is, and the encoder below it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bertkit.checkpoint.folder import write_model_folder
from bertkit.checkpoint.locate import hub_card
from bertkit.data.batches import Rows, epoch_batches
from bertkit.data.packed import FeatureBatch, Features, PackedBatch, pack
from bertkit.data.tables import iterate_rows
from bertkit.errors import UserError
from bertkit.health.look import Looked, look_at, rows_to_look_at
from bertkit.health.watch import Evaluation, Setting
from bertkit.infer.evaluate import evaluate
from bertkit.infer.model import load
from bertkit.model.bulk import batches_by_length, head_outputs
from bertkit.model.compute import Compute
from bertkit.model.heads import Classifier
from bertkit.model.losses import Softening
from bertkit.model.terms import Sums
from bertkit.recipe import Recipe, TaskRecipe
from bertkit.runs.folder import seed_folder
from bertkit.runs.restarts import Restart, changed
from bertkit.runs.result import Answers, SeedResult, answers_of_seeds
from bertkit.tasks.calibration import fit_temperature, logarithms
from bertkit.tasks.kind import Decision
from bertkit.tasks.load import ReadSplits, load_splits
from bertkit.train.closing import SHARE_OF_RESULT
from bertkit.train.explain import explain_mistakes
from bertkit.train.feature_cache import FeatureCache, Inputs
from bertkit.train.listener import LabelledPlan, Listener
from bertkit.train.objective import (
    STEPS_TO_ESTIMATE,
    Evaluated,
    Manner,
    Progress,
    Source,
    seconds_a_step,
)
from bertkit.train.prepare import Prepared, build_classifier, prepare
from bertkit.train.processes import Processes
from bertkit.train.results import aggregate
from bertkit.train.schedule import BySteps
from bertkit.train.settle import settle

TOKENS_OF_WINDOWS = 8_192
"""A step over long texts is computed in parts of so many tokens at most (or of one text), to save memory."""


@dataclass(frozen=True)
class LabelledBatch:
    """B units of a step, their targets as `Classifier.losses` takes them, their weights in the loss [B]
    (None: all count alike), and what share of the step's targets, or of their weights, they have.
    """

    inputs: PackedBatch | FeatureBatch
    targets: torch.Tensor
    weights_B: torch.Tensor | None
    share: float

    @property
    def tokens(self) -> int:
        """Tokens of the rows, T."""
        return sum(self.inputs.lengths)


class Classification:
    """One seed's objective: the mean loss of a step's rows, encoded or as features.

    Args:
        source: the rows and what is to be learnt of them.
        recipe: with what the restarts changed.
        seed: of order and weights.
        model: with which it begins, after the restarts.
        inputs: the rows as the model reads them.
        restarts: the attempts before this one.
    """

    def __init__(
        self,
        source: Labelled,
        recipe: Recipe,
        seed: int,
        model: Classifier,
        inputs: Inputs,
        restarts: Sequence[Restart] = (),
    ) -> None:
        self.model: nn.Module = model
        self.sums = Sums()
        self._classifier = model
        self._source = source
        self._prepared = source.prepared
        self._recipe = recipe
        self._seed = seed
        self._inputs = inputs
        self._restarts = restarts
        self._targets = self._prepared.train_targets
        self._weights = self._prepared.row_weights
        self._epoch = 0
        self._batches = self.of_epoch(0)
        self._found: dict[str, Any] = {}
        self._answers: Answers | None = None
        self._decision: Decision = {}
        self.manner = self._manner(len(self._batches))

    def _manner(self, steps_per_epoch: int) -> Manner:
        training, test = self._recipe.training, self._prepared.test
        steps = 0 if training.budget else count_steps(steps_per_epoch, self._recipe)
        return Manner(
            setting=Setting(
                phase="finetune",
                optimiser=self._recipe.optimiser,
                model=self._classifier.encoder.config,
                trained=self._prepared.start is not None,
                baseline_loss=self._prepared.floor,
                training=training,
            ),
            schedule=BySteps(steps, self._recipe.optimiser) if steps else None,
            steps=steps,
            keeps_best=True,
            steps_per_epoch=steps_per_epoch,
            scored_after=len(test.texts) / len(self._prepared.dev.texts) if test else 0.0,
            probe=None if self._recipe.model.freeze else self._probe(),
        )

    def _probe(self) -> Callable[[], Looked] | None:
        """A look at a few dev rows; None where there are too few."""
        rows = rows_to_look_at(self._prepared.dev_sequences.lengths)
        if len(rows) < 2:
            return None
        batch = pack(self._prepared.dev_sequences, rows)
        return lambda: look_at(self._classifier, batch, compute=self._source.compute)

    def at(self, progress: Progress, fraction: float) -> str:
        """All steps are alike."""
        return ""

    def batches(self, step: int) -> list[LabelledBatch]:
        """The rows of a step, of this process: one batch, or several of long texts."""
        epoch, index = divmod(step, self.manner.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = self.of_epoch(epoch)
        rows, processes = self._batches[index], self._source.processes
        # Of a step whose tokens are all answered for elsewhere nothing counts.
        whole = self._count(rows) or 1.0
        # Neighbours are of like length, so dealing them out gives all processes about as much.
        mine = rows[processes.rank :: processes.count]
        return [
            LabelledBatch(
                self._inputs.train.batch(part),
                torch.from_numpy(self._targets.only(part).values),
                None if self._weights is None else self._weights[part],
                self._count(part) / whole,
            )
            for part in self._parts(mine)
            if len(part)
        ]

    def _count(self, rows: Rows) -> float:
        """How many targets they have, or what they weigh together."""
        each = self._prepared.train_encoded.counted if self._weights is None else self._weights
        return float(each[rows].sum())

    def of_epoch(self, epoch: int) -> list[Rows]:
        """The rows of each batch of an epoch, of all processes."""
        prepared, lengths = self._prepared, self._inputs.train.lengths
        classes = prepared.train.known.values if prepared.kind.classes else None
        return epoch_batches(lengths, self._recipe.batch, self._seed, epoch, classes)

    def _parts(self, rows: Rows) -> list[Rows]:
        inputs = self._inputs.train
        if isinstance(inputs, Features) or inputs.windows is None:
            return [rows]
        return [rows[part] for part in batches_by_length(inputs.lengths[rows], TOKENS_OF_WINDOWS)]

    def loss(self, model: nn.Module, batch: LabelledBatch) -> torch.Tensor:
        """The batch's share of the mean of the targets' losses, by their weights."""
        assert isinstance(model, Classifier)
        losses = model.losses(model(batch.inputs), batch.targets, batch.inputs, _how(self._recipe))
        return losses.mean(batch.weights_B) * batch.share

    def evaluate(self, progress: Progress) -> Evaluated:
        """Score the dev rows."""
        prepared, kind = self._prepared, self._prepared.kind
        source = self._source
        said = head_outputs(
            self._classifier, self._inputs.dev, compute=source.compute, sharing=source.processes
        )
        if kind.scale is not None:
            said = prepared.scale.outside(said)
        dev, scoring = prepared.dev, prepared.scoring
        outputs = kind.collect(prepared.dev_encoded, said)
        self._decision, predictions = kind.decided(dev, outputs, scoring)
        adds = kind.adds(dev, predictions, prepared.labels)
        self._answers = Answers(dev.known, outputs, adds)
        self._found = found = scoring.of(adds)
        epoch = progress.step / self.manner.steps_per_epoch
        loss = prepared.dev_loss(said)
        train_loss = progress.loss / progress.loss_steps if progress.loss_steps else math.nan
        return Evaluated(
            figures={"loss": loss, "train_loss": train_loss, **found},
            watched=Evaluation(
                step=progress.step,
                train_loss=train_loss,
                loss=loss,
                one_answer=kind.one_answer(dev, predictions),
                beats_majority=scoring.metric.beats(found["interval"], prepared.blind),
            ),
            value=found["score"] if scoring.metric.higher else -found["score"],
            line=f"epoch {epoch:.3g}: {scoring.metric.title} {found['score']:.4f}, "
            f"train loss {train_loss:.4f}",
            kept={
                "score": found["score"],
                "epoch": epoch,
                "status": scoring.status(dev, predictions, found["interval"], prepared.blind),
            },
        )

    def write(self, folder: Path, progress: Progress) -> None:
        """Write the model as it was just scored, and its answers."""
        assert self._answers is not None, "it was scored"
        prepared, recipe, found = self._prepared, self._recipe, self._found
        card: dict[str, Any] = {
            "task": prepared.task.name,
            "kind": prepared.task.kind,
            "labels": list(prepared.labels),
            "pairs": prepared.train.pairs is not None,
            **asdict(recipe.batch.reading),
            "metric": prepared.scoring.metric.name,
            "positive": prepared.scoring.positive or None,
            "score": found["score"],
            "interval": found["interval"],
            "steps": progress.step,
            "recipe": recipe.to_toml(),
            "rows": prepared.row_fingerprints,
            **hub_card(prepared.start),
            "restarts": [asdict(restart) for restart in self._restarts],
            **({"decision": dict(self._decision)} if self._decision else {}),
        }
        if recipe.training.temperature:
            card["temperature"] = fit_temperature(
                logarithms(np.exp(self._answers.outputs)), prepared.dev.known.values
            )
        model, scale = self._classifier, prepared.scale
        if prepared.kind.scale is not None:
            card["scale"] = asdict(scale)
        head = model.head if prepared.kind.scale is None else model.head.rescaled(scale.deviation, scale.mean)
        write_model_folder(folder / "model", model.encoder, head, prepared.tokenizer, card, overwrite=True)
        self._answers.write(folder)  # After the model, which says of which step both are.

    def result(self, progress: Progress) -> SeedResult:
        """What came of the seed."""
        lost = "collapsed" if progress.collapse else progress.kept["status"]
        return SeedResult(
            seed=self._seed,
            score=progress.kept["score"],
            last_score=progress.last["score"],
            status="diverged" if progress.broken else lost,
            best_epoch=progress.kept["epoch"],
            steps=progress.step,
            tokens=progress.tokens,
            seconds=progress.seconds,
            collapse=progress.collapse,
            restarts=[asdict(restart) for restart in self._restarts],
        )


class Labelled(Source):
    """The labelled rows of a run, which all its seeds share; see `Source`."""

    recipe: Recipe

    def __init__(
        self,
        recipe: Recipe,
        processes: Processes,
        compute: Compute,
        listener: Listener,
        read: ReadSplits = load_splits,
    ) -> None:
        self.recipe = recipe = settle(recipe, read)[0]
        self.processes = processes
        self.compute = compute
        self.listener = listener
        self.prepared: Prepared = prepare(recipe, read)
        self.fingerprint = self.prepared.fingerprint
        self.inputs = self.prepared.inputs
        self._cache = FeatureCache(self.prepared, recipe.model, compute, processes, listener)

    def objective(
        self, seed: int, restarts: Sequence[Restart] = (), *, trial: bool = False
    ) -> Classification:
        """What a seed learns after `restarts`; of a frozen encoder, a `trial` has features that are zeros."""
        recipe = changed(self.recipe, restarts)
        torch.manual_seed(seed)
        model = build_classifier(self.prepared, recipe)
        inputs = self._cache.estimate(model) if trial else self._cache.of(model)
        self.seconds_before = self._cache.expected
        return Classification(self, recipe, seed, model, inputs, restarts)

    def plan(self, objective: Classification) -> LabelledPlan:
        """What the run will be; a few steps are made with the trial's model, whose weights stay."""
        training, per_epoch = self.recipe.training, objective.manner.steps_per_epoch
        a_step, broke = seconds_a_step(
            objective,
            self.recipe.optimiser,
            most=min(STEPS_TO_ESTIMATE, per_epoch),
            seed=training.seed,
            compute=self.compute,
        )
        if broke:
            raise UserError(
                f"{broke} No update was made yet: the weights of {self.recipe.model.start} are broken. Give "
                "another --model."
            )
        parameters = list(objective.model.parameters())
        steps = objective.manner.steps
        return LabelledPlan(
            facts=self.prepared.facts,
            parameters=sum(p.numel() for p in parameters),
            trained=sum(p.numel() for p in parameters if p.requires_grad),
            precision=self.compute.precision,
            processes=self.processes.count,
            steps=steps,
            steps_per_epoch=per_epoch,
            seeds=training.seeds,
            expected_seconds=60 * training.budget or self.seconds_before + a_step * steps * training.seeds,
        )

    def outcome(self, folder: Path) -> SeedResult | None:
        """What came of the seed in `folder` if it is done."""
        return SeedResult.read(folder)

    def _columns(self) -> dict[str, str]:
        """What the columns of a table of new rows are called, by part; empty where they come otherwise."""
        prepared, task = self.prepared, self.recipe.task
        if prepared.kind.reads is not iterate_rows:
            return {}
        named = TaskRecipe(text="text", pair="pair") if task.name else task
        return {"text": named.text, **({"pair": named.pair} if prepared.train.pairs is not None else {})}

    def aggregate(self, out: Path, outcomes: list[SeedResult], plan: LabelledPlan) -> dict[str, Any]:
        """The content of `result.json`, with what moved the best seed's model to its mistakes."""
        answers = answers_of_seeds(out, [each.seed for each in outcomes])
        result = aggregate(
            self.prepared, plan.parameters, plan.precision, outcomes, answers, self._cache.seconds
        )
        result["columns"] = self._columns()
        if self.prepared.test is not None and self.processes.first:
            place = seed_folder(out, result["best_seed"], len(outcomes))
            model = load(place / "model", precision=self.recipe.training.precision)
            result["test"] = evaluate(model.predictor, TaskRecipe())
        if result.get("calibration") is not None:
            result["calibration"]["kept"] = self.recipe.training.temperature
            if self.processes.first:
                best = next(outcome for outcome in outcomes if outcome.seed == result["best_seed"])
                # A frozen encoder has seen each row once.
                once = int(self.prepared.train_sequences.lengths.sum())
                tokens = once if self.recipe.model.freeze else best.tokens
                folder = seed_folder(out, best.seed, len(outcomes)) / "model"
                seconds = 60 * self.recipe.training.budget * SHARE_OF_RESULT or math.inf
                speed = math.inf if self.recipe.model.freeze else best.tokens / best.seconds
                explain_mistakes(
                    folder, self.prepared, result["mistakes"], tokens, seconds=seconds, speed=speed
                )
        return result


def _how(recipe: Recipe) -> Softening:
    return Softening(recipe.training.label_smoothing, recipe.training.focal)


def count_steps(steps_per_epoch: int, recipe: Recipe) -> int:
    """Updates of one seed."""
    whole = steps_per_epoch * recipe.training.epochs
    return min(whole, recipe.training.steps or whole)
