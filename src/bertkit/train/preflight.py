"""Measures before a run, of either objective: quick ones at its start, all of them for `bertkit doctor`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bertkit.data.packed import PackedBatch, pack
from bertkit.data.steps import take
from bertkit.health.auditing import measure_audit
from bertkit.health.preflight import SECONDS, Asked, CorpusMeasures, Cost, Preflight
from bertkit.health.rows import measure_rows
from bertkit.health.start import LossOf, kept_for_backward, measure_start
from bertkit.health.text import measure_tokens, token_measures
from bertkit.health.trials import Trial, overfit_batch, range_test
from bertkit.model.compute import Compute, available_memory, clock, flush_denormals, resident_memory
from bertkit.model.heads import Classifier
from bertkit.model.optimisers import OPTIMISERS, build_optimiser
from bertkit.model.pretraining import Pretrainer, PretrainingBatch
from bertkit.model.terms import Sums, pretraining_loss
from bertkit.recipe import OptimiserName, OptimiserRecipe
from bertkit.tasks.metrics import entropy
from bertkit.train.labelled import Classification, Labelled
from bertkit.train.masked import as_batch
from bertkit.train.objective import STEPS_TO_ESTIMATE, Objective, Source, seconds_a_step
from bertkit.train.prepare import Prepared
from bertkit.train.schedule import learning_rate
from bertkit.train.unlabelled import Restoring, Unlabelled

START_TOKENS = 1_024
"""Of the first batch: enough for the gradient's size, and a second at most."""
TRIAL_TOKENS, TRIAL_ROWS, LEAST_ROWS = 256, 16, 4
"""Of the batch to overfit: few, so that a hundred steps are seconds."""
TRIAL_STEPS = 100
NUMBER = 4
"""Bytes of a float32."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sample:
    """Some sequences of a run, with their loss; `prior` is that of who knows the shares of their answers."""

    batch: PackedBatch
    loss: LossOf
    prior: float = 0.0


class _Rows:
    """Labelled rows."""

    def __init__(self, source: Labelled, objective: Classification) -> None:
        self.source, self.objective = source, objective
        self._prepared, self._recipe = source.prepared, source.recipe
        self._batches = objective.of_epoch(0)
        self.pad_id = self._prepared.tokenizer.pad_id if self._recipe.batch.pad_to else None

    def asked(self) -> dict[str, Any]:
        """What the checks read of the recipe beside what all recipes have."""
        recipe = self._recipe
        return {
            "max_length": recipe.batch.reading.longest,
            "at_once": recipe.batch.sequences,
            "pad_to": recipe.batch.pad_to,
            "shuffle": recipe.batch.shuffle,
            "frozen": recipe.model.freeze,
            "own_rows": not recipe.task.name,
            "learns_vocabulary": self._prepared.start is None and not recipe.vocabulary.file,
            "metric": self._prepared.scoring.metric.name,
        }

    def uniform(self) -> float:
        """Loss in nats of who knows nothing."""
        return self._prepared.kind.uniform(self._prepared.train_encoded, self._prepared.labels)

    def start(self) -> Sample:
        """Of the first step."""
        return self._quick(self._batches[0])

    def overfit(self) -> Sample:
        """The batch to overfit."""
        return self._sample(trial_rows(self._prepared))

    ranged = overfit

    def largest(self) -> tuple[Sample, float]:
        """Of the largest micro-batch, as much as is quick, and how many times as much the whole is."""
        lengths = self._prepared.train_sequences.lengths
        largest = max(self._batches, key=lambda rows: int(lengths[rows].sum()))
        sample = self._quick(largest)
        return sample, int(lengths[largest].sum()) / len(sample.batch.ids_T)

    def data(self, steps: int, *, whole: bool) -> dict[str, Any]:
        """Measures of the data, by the names of `Preflight`."""
        prepared, recipe = self._prepared, self._recipe
        # Of a text in windows its beginning tells enough.
        sequences = prepared.train_sequences.beginnings()
        return {
            "tokens": measure_tokens(
                sequences,
                prepared.tokenizer,
                prepared.train.texts,
                max_length=recipe.batch.reading.longest,
                visible_pads=recipe.batch.pad_to > 0,
            ),
            "rows": measure_rows(
                prepared.train,
                prepared.dev,
                prepared.labels,
                sequences,
                self._batches,
                at_once=recipe.batch.sequences,
                baseline_loss=prepared.floor,
                blind=prepared.baselines[prepared.kind.baselines[0].name],
                classes=prepared.kind.classes,
                numbers=prepared.kind.scale is not None,
            ),
            "audit": measure_audit(prepared.parts, prepared.kind, prepared.labels, whole=whole),
        }

    def _quick(self, rows: Ints) -> Sample:
        """The first of some rows, of no more than `START_TOKENS` together but two in any case.

        No two have the same tokens: in batches sorted by length copies stand side by side, and are alike to
        any model.
        """
        sequences = self._prepared.train_sequences
        some: dict[bytes, int] = {}
        tokens = 0
        for row in rows.tolist():
            content = pack(sequences, [row]).ids_T.numpy().tobytes()
            if content in some:
                continue
            tokens += int(sequences.lengths[row])
            if len(some) >= 2 and tokens > START_TOKENS:
                break
            some[content] = row
        return self._sample(np.array(list(some.values()), dtype=np.int64))

    def _sample(self, rows: Ints) -> Sample:
        prepared, targets = self._prepared, torch.from_numpy(self._prepared.train_targets.only(rows).values)
        weights = None if prepared.row_weights is None else prepared.row_weights[rows]
        batch = pack(prepared.train_sequences, rows)

        def loss(model: nn.Module) -> torch.Tensor:
            assert isinstance(model, Classifier)
            return model.losses(model(batch), targets, batch).mean(weights)

        return Sample(batch, loss, prepared.floor_of(rows))


class _Text:
    """Text of a corpus."""

    pad_id: int | None = None

    def __init__(self, source: Unlabelled, objective: Restoring) -> None:
        self.source, self.objective = source, objective
        self._recipe = source.recipe
        self._masks = objective.masks(0)

    def asked(self) -> dict[str, Any]:
        """What the checks read of the recipe beside what all recipes have."""
        batch = self._recipe.batch
        return {"max_length": batch.length, "at_once": batch.at_once or batch.tokens}

    def uniform(self) -> float:
        """Loss in nats of who knows nothing."""
        pairs = math.log(2) if self.objective.model.pair is not None else 0.0
        return math.log(self.source.shards.tokenizer.size) + pairs

    def start(self) -> Sample:
        """Of the first step."""
        return self._some(START_TOKENS)

    def overfit(self) -> Sample:
        """The batch to overfit."""
        return self._some(TRIAL_TOKENS)

    ranged = start

    def largest(self) -> tuple[Sample, float]:
        """Of the largest micro-batch, as much as is quick, and how many times as much the whole is."""
        parts = self.objective.batches(0)
        return _text_sample(max(parts, key=lambda part: int(part.tokens)).batch), 1.0

    def data(self, steps: int, *, whole: bool) -> dict[str, Any]:
        """Measures of the data, by the names of `Preflight`."""
        shards = self.source.shards
        return {
            "tokens": token_measures(
                shards.counts,
                shards.tokenizer,
                padding=1 - float(self._masks.sequences.lengths.mean()) / self._recipe.batch.length,
                visible_pads=0.0,
                truncated=0.0,
                unknown_words=[],
                capitals=self._capitals(),
            ),
            "corpus": CorpusMeasures(
                documents=sum(entry.documents for entry in shards.entries),
                train_tokens=sum(entry.tokens for entry in shards.of("train")),
                heldout_tokens=sum(entry.tokens for entry in shards.of("heldout")),
                tokens_a_step=self._recipe.batch.tokens,
                epochs=self.objective.epochs(steps),
                unigram=self.objective.unigram,
            ),
        }

    def _some(self, tokens: int) -> Sample:
        """Sequences of the first step, of all lengths, of about so many tokens together."""
        sequences = self._masks.sequences
        wanted = max(2, round(tokens / float(sequences.lengths.mean())))
        count = len(sequences)
        rows = np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))
        return _text_sample(as_batch(take(self._masks, rows)))

    def _capitals(self) -> float:
        """Share of capitals among the letters of the corpus's tokens."""
        shards, capitals, letters = self.source.shards, 0, 0
        for token, count in zip(shards.tokenizer.vocabulary, shards.counts.tolist(), strict=True):
            if not (token.startswith("[") and token.endswith("]")):
                letters += count * sum(letter.isalpha() for letter in token)
                capitals += count * sum(letter.isupper() for letter in token)
        return capitals / max(1, letters)


def _text_sample(batch: PretrainingBatch) -> Sample:
    def loss(model: nn.Module) -> torch.Tensor:
        assert isinstance(model, Pretrainer)
        return pretraining_loss(model, batch, Sums())

    prior = entropy(np.bincount(batch.targets_M.numpy()))
    if batch.pairs_B is not None:
        prior += entropy(np.bincount(batch.pairs_B.numpy()))
    return Sample(batch.inputs, loss, prior)


Subject = _Rows | _Text
"""What is measured of a run, by its objective: samples of its steps, and its data."""


def _subject(source: Source, objective: Objective) -> Subject:
    if isinstance(source, Unlabelled):
        assert isinstance(objective, Restoring)
        return _Text(source, objective)
    assert isinstance(source, Labelled)
    assert isinstance(objective, Classification)
    return _Rows(source, objective)


def measure_quickly(source: Source, objective: Objective) -> Preflight:
    """The quick measures of a run that is about to begin; the run's random numbers are not touched.

    Args:
        source: of the run.
        objective: its first seed's, as a trial; the weights stay.
    """
    with torch.random.fork_rng(devices=[]):
        return _measure(_subject(source, objective), objective.manner.steps, whole=False)


def measure_all(source: Source, *, seconds: float = SECONDS) -> Preflight:
    """All measures of a run in one process, with trials on copies of its model; nothing is written.

    Args:
        source: of the run.
        seconds: of computing, for the trials: half to overfit a batch, what is left for the learning rates.

    Raises:
        UserError: bad data or options.
    """
    flush_denormals()
    recipe, compute = source.recipe, source.compute
    base = resident_memory()
    with torch.random.fork_rng(devices=[]):
        objective = source.objective(recipe.training.seed, trial=True)
        subject = _subject(source, objective)
        overfit_trial, began = None, clock()
        if not recipe.model.freeze:  # A head on features that stay need not overfit a batch.
            rates, trial = trial_rates(recipe.optimiser, TRIAL_STEPS), _trial(subject, subject.overfit())
            overfit_trial = overfit_batch(trial, rates, steps=TRIAL_STEPS, seconds=seconds / 2)
        left = max(seconds / 2, seconds - (clock() - began))
        ranged = range_test(_trial(subject, subject.ranged()), seconds=left)
        sample, times = subject.largest()
        activations = activation_bytes(objective.model, sample.loss, compute, times=times)
        a_step, steps = _time(source, objective)
        found = _measure(subject, steps, whole=True)
    cost = cost_of(
        objective.model,
        recipe.optimiser.name,
        activations=activations,
        base=base,
        seconds_a_step=a_step,
        steps=steps * recipe.training.seeds,
    )
    return replace(found, overfit_trial=overfit_trial, range_test=ranged, cost=cost)


def _time(source: Source, objective: Any) -> tuple[float, int]:
    """Seconds a step, with what is computed before the first one; and the steps of a seed."""
    training = source.recipe.training
    a_step, _ = seconds_a_step(
        objective,
        source.recipe.optimiser,
        most=min(STEPS_TO_ESTIMATE, objective.manner.steps_per_epoch or STEPS_TO_ESTIMATE),
        seed=training.seed,
        compute=source.compute,
    )
    steps = objective.manner.steps or max(1, round(training.budget * 60 / training.seeds / a_step))
    return a_step + source.seconds_before / (steps * training.seeds), steps


def _measure(subject: Subject, steps: int, *, whole: bool) -> Preflight:
    source, start = subject.source, subject.start()
    return Preflight(
        asked=_asked(subject, steps),
        start=measure_start(
            subject.objective.model,
            start.loss,
            start.batch,
            uniform=subject.uniform(),
            compute=source.compute,
            pad_id=subject.pad_id,
        ),
        **subject.data(steps, whole=whole),
    )


def _asked(subject: Subject, steps: int) -> Asked:
    recipe, setting = subject.source.recipe, subject.objective.manner.setting
    optimiser, config = recipe.optimiser, setting.model
    return Asked(
        phase=setting.phase,
        model=recipe.model.start,
        fresh=not setting.trained,
        optimiser=optimiser.name,
        lr=optimiser.lr,
        warmup=optimiser.warmup,
        clip=optimiser.clip,
        steps=steps,
        reach=_reach(optimiser, steps),
        norm=config.norm,
        positions=config.positions,
        embedding_norm=config.embedding_norm,
        position_scale=config.position_scale,
        initialiser_range=config.initialiser_range,
        layers=config.layers,
        hidden_size=config.hidden_size,
        max_positions=config.max_positions,
        budget_minutes=recipe.training.budget,
        **subject.asked(),
    )


def _reach(recipe: OptimiserRecipe, steps: int) -> float:
    """Sum of the rates of `steps` updates: warm-up and linear decay are half as high as they are long."""
    share = 0.5 if recipe.schedule == "linear" else 1 - recipe.warmup / 2
    return recipe.lr * share * steps


def _trial(subject: Subject, sample: Sample) -> Trial:
    recipe = subject.source.recipe
    return Trial(
        copy=lambda: copy.deepcopy(subject.objective.model),
        loss=sample.loss,
        optimiser=lambda model: build_optimiser(model, recipe.optimiser),
        batch=sample.batch,
        baseline_loss=sample.prior,
        clip=recipe.optimiser.clip,
        compute=subject.source.compute,
    )


def trial_rates(recipe: OptimiserRecipe, steps: int) -> Callable[[int], float]:
    """The recipe's rates in a trial of so many steps: its share of warm-up, then its highest."""
    constant = replace(recipe, schedule="constant")
    return lambda step: learning_rate(step, steps, constant)


def cost_of(
    model: nn.Module,
    optimiser: OptimiserName,
    *,
    activations: int,
    base: int,
    seconds_a_step: float,
    steps: int,
) -> Cost:
    """What a run takes whose largest micro-batch keeps `activations` bytes; all weights are float32."""
    parameters = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Cost(
        parameters=parameters,
        weights=NUMBER * parameters,
        gradients=NUMBER * trained,
        moments=NUMBER * OPTIMISERS[optimiser].numbers(model),
        activations=activations,
        base=base,
        available=available_memory(),
        seconds_a_step=seconds_a_step,
        steps=steps,
        seconds=seconds_a_step * steps,
    )


def activation_bytes(model: nn.Module, loss: LossOf, compute: Compute, *, times: float) -> int:
    """What a batch `times` as large as that of `loss` needs beside weights, gradients and moments.

    That is what its forward pass keeps, and twice its largest tensor for what comes and goes. The model's
    mode is as before afterwards.
    """
    training = model.training
    model.train()
    kept, largest = kept_for_backward(model, loss, compute)
    model.train(training)
    return round(times * (kept + 2 * largest))


def trial_rows(prepared: Prepared) -> Ints:
    """A few units of different texts without contradictions, of each label in turn, the same always."""
    lengths, encoded = prepared.train_sequences.lengths, prepared.train_encoded
    odd = {*prepared.odd.duplicates, *prepared.odd.contradictions} if encoded.together else set()
    # Only of classes there are rows of the same one to take in turn.
    labels = prepared.train.known.values if prepared.kind.classes else np.zeros(len(lengths))
    order = np.random.default_rng(0).permutation(len(labels))
    # Not the longest: what does not fit would leave two or three rows of them.
    usual = np.median(lengths)
    by_label = [
        [row for row in order[labels[order] == label].tolist() if row not in odd and lengths[row] <= usual]
        or order[labels[order] == label].tolist()
        for label in np.unique(labels).tolist()
    ]
    chosen: list[int] = []
    for turn in range(TRIAL_ROWS):
        for rows in by_label:
            room = len(chosen) < TRIAL_ROWS and turn < len(rows)
            if room and (len(chosen) < LEAST_ROWS or lengths[[*chosen, rows[turn]]].sum() <= TRIAL_TOKENS):
                chosen.append(rows[turn])
    return np.array(sorted(chosen), dtype=np.int64)
