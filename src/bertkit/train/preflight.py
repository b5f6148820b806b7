"""Measures before a fine-tuning run: quick ones at the start of each, all of them for `bertkit doctor`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bertkit.config.model import ModelConfig
from bertkit.data.batches import epoch_batches
from bertkit.data.packed import PackedBatch, pack
from bertkit.health.preflight import SECONDS, Asked, Cost, Preflight
from bertkit.health.rows import measure_rows
from bertkit.health.start import (
    LossOf,
    available_memory,
    kept_for_backward,
    measure_start,
    resident_memory,
)
from bertkit.health.text import measure_pieces
from bertkit.health.trials import Trial, clock, learn_by_heart, range_test
from bertkit.model.heads import Classifier
from bertkit.model.optimisers import OPTIMISERS, build_optimiser
from bertkit.model.precision import Computing, choose_precision, flush_denormals
from bertkit.recipe import ModelRecipe, OptimiserName, OptimiserRecipe, Recipe
from bertkit.runs.history import Phase
from bertkit.tasks.metrics import entropy
from bertkit.train.feature_cache import RowSource
from bertkit.train.listener import Silent
from bertkit.train.planning import count_steps, first_seed, make_plan
from bertkit.train.prepare import Prepared, prepare
from bertkit.train.schedule import learning_rate

START_PIECES = 1_024
"""Of the first batch: enough for the gradient's size, and a second at most."""
TRIAL_PIECES, TRIAL_ROWS, LEAST_ROWS = 256, 16, 4
"""Of the sequences to learn by heart: few, so that a hundred steps are seconds."""
TRIAL_STEPS = 100
NUMBER = 4
"""Bytes of a float32."""

Ints = npt.NDArray[np.int64]


def measure(prepared: Prepared, recipe: Recipe, classifier: Classifier, precision: Computing) -> Preflight:
    """The quick measures of a run that is about to begin; the run's random numbers are not touched.

    Args:
        prepared: for the recipe.
        recipe: what will be done.
        classifier: as the first seed begins; its weights stay.
        precision: of computing.
    """
    batches = epoch_batches(prepared.train_sequences.lengths, recipe.batch, recipe.training.seed, 0)
    # Of a text in windows its beginning tells enough.
    sequences = prepared.train_sequences.beginnings()
    with torch.random.fork_rng(devices=[]):
        batch, loss = _quick(prepared, batches[0])
        return Preflight(
            asked=_asked(prepared, recipe, count_steps(len(batches), recipe)),
            start=measure_start(
                classifier,
                loss,
                batch,
                uniform=math.log(len(prepared.labels)),
                precision=precision,
                pad_id=prepared.tokenizer.pad_id if recipe.batch.pad_to else None,
            ),
            pieces=measure_pieces(
                sequences,
                prepared.tokenizer,
                prepared.train.texts,
                max_length=recipe.batch.reading.longest,
                visible_pads=recipe.batch.pad_to > 0,
            ),
            rows=measure_rows(
                prepared.train,
                prepared.dev,
                prepared.labels,
                prepared.odd,
                sequences,
                batches,
                at_once=recipe.batch.sequences,
                majority=prepared.baselines[prepared.kind.baselines[0].name],
            ),
        )


def preflight(recipe: Recipe, *, seconds: float = SECONDS) -> Preflight:
    """All measures of a run, with trials on copies of its model; nothing is written.

    Args:
        recipe: what would be done.
        seconds: of computing, for the trials: half for learning by heart, and what is left for the rates.

    Raises:
        UserError: bad data or options, see `prepare`.
    """
    flush_denormals()
    prepared = prepare(recipe)
    precision = choose_precision(recipe.training.precision)
    base = resident_memory()
    with torch.random.fork_rng(devices=[]):
        classifier = first_seed(prepared, recipe)
        found = measure(prepared, recipe, classifier, precision)
        trial = _trial(prepared, recipe, classifier, precision)
        by_heart, began = None, clock()
        if not recipe.model.freeze:  # A head on features that stay need not know texts by heart.
            rates = trial_rates(recipe.optimiser, TRIAL_STEPS)
            by_heart = learn_by_heart(trial, rates, steps=TRIAL_STEPS, seconds=seconds / 2)
        ranged = range_test(trial, seconds=max(seconds / 2, seconds - (clock() - began)))
        activations = _activations(prepared, recipe, classifier, precision)
        rows = RowSource(prepared, recipe.model, precision, Silent())
        plan = make_plan(classifier, prepared, recipe, precision, rows)
    cost = cost_of(
        classifier,
        recipe.optimiser.name,
        activations=activations,
        base=base,
        seconds_a_step=plan.expected_seconds / (plan.steps * plan.seeds),
        steps=plan.steps * plan.seeds,
    )
    return replace(found, by_heart=by_heart, range_test=ranged, cost=cost)


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


def activation_bytes(model: nn.Module, loss: LossOf, precision: Computing, *, times: float) -> int:
    """What a batch `times` as large as that of `loss` needs beside weights, gradients and moments.

    That is what its forward pass keeps, and twice its largest tensor for what comes and goes. The model's
    mode is as before afterwards.
    """
    training = model.training
    model.train()
    kept, largest = kept_for_backward(model, loss, precision)
    model.train(training)
    return round(times * (kept + 2 * largest))


def asked_of(
    phase: Phase,
    model: ModelRecipe,
    config: ModelConfig,
    optimiser: OptimiserRecipe,
    *,
    fresh: bool,
    steps: int,
    max_length: int,
    at_once: int,
) -> Asked:
    """What both kinds of recipe have in common."""
    return Asked(
        phase=phase,
        model=model.start,
        fresh=fresh,
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
        max_length=max_length,
        max_positions=config.max_positions,
        at_once=at_once,
    )


def _reach(recipe: OptimiserRecipe, steps: int) -> float:
    """Sum of the rates of `steps` updates: warm-up and linear decay are half as high as they are long."""
    share = 0.5 if recipe.schedule == "linear" else 1 - recipe.warmup / 2
    return recipe.lr * share * steps


def _asked(prepared: Prepared, recipe: Recipe, steps: int) -> Asked:
    asked = asked_of(
        "finetune",
        recipe.model,
        prepared.model,
        recipe.optimiser,
        fresh=prepared.start is None,
        steps=steps,
        max_length=recipe.batch.reading.longest,
        at_once=recipe.batch.sequences,
    )
    return replace(
        asked,
        pad_to=recipe.batch.pad_to,
        shuffle=recipe.batch.shuffle,
        frozen=recipe.model.freeze,
        metric=prepared.task.metric,
    )


def _quick(prepared: Prepared, rows: Ints) -> tuple[PackedBatch, LossOf]:
    """The first of some rows, of no more than `START_PIECES` together but two in any case; and their loss.

    No two have the same pieces: in batches sorted by length copies stand side by side, and are alike to any
    model.
    """
    sequences = prepared.train_sequences
    some: dict[bytes, int] = {}
    pieces = 0
    for row in rows.tolist():
        content = pack(sequences, [row]).ids_T.numpy().tobytes()
        if content in some:
            continue
        pieces += int(sequences.lengths[row])
        if len(some) >= 2 and pieces > START_PIECES:
            break
        some[content] = row
    chosen = list(some.values())
    batch = pack(sequences, chosen)
    return batch, _loss_of(batch, torch.from_numpy(prepared.train_labels[chosen]))


def _loss_of(batch: PackedBatch, labels_B: torch.Tensor) -> LossOf:
    def loss(model: nn.Module) -> torch.Tensor:
        assert isinstance(model, Classifier)
        return model.loss(model(batch), labels_B).mean()

    return loss


def _trial(prepared: Prepared, recipe: Recipe, classifier: Classifier, precision: Computing) -> Trial:
    rows = trial_rows(prepared)
    batch, labels = pack(prepared.train_sequences, rows), prepared.train_labels[rows]
    return Trial(
        copy=lambda: copy.deepcopy(classifier),
        loss=_loss_of(batch, torch.from_numpy(labels)),
        optimiser=lambda model: build_optimiser(model, recipe.optimiser),
        batch=batch,
        prior_loss=entropy(np.bincount(labels)),
        clip=recipe.optimiser.clip,
        precision=precision,
    )


def trial_rows(prepared: Prepared) -> Ints:
    """A few rows of different texts without contradictions, of each label in turn, the same always."""
    odd = {*prepared.odd.duplicates, *prepared.odd.contradictions}
    lengths, labels = prepared.train_sequences.lengths, prepared.train_labels
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
            if room and (len(chosen) < LEAST_ROWS or lengths[[*chosen, rows[turn]]].sum() <= TRIAL_PIECES):
                chosen.append(rows[turn])
    return np.array(sorted(chosen), dtype=np.int64)


def _activations(prepared: Prepared, recipe: Recipe, classifier: Classifier, precision: Computing) -> int:
    """Of the largest batch of the first epoch, from as much of it as is quick."""
    lengths = prepared.train_sequences.lengths
    batches = epoch_batches(lengths, recipe.batch, recipe.training.seed, 0)
    largest = max(batches, key=lambda rows: int(lengths[rows].sum()))
    batch, loss = _quick(prepared, largest)
    times = int(lengths[largest].sum()) / len(batch.ids_T)
    return activation_bytes(classifier, loss, precision, times=times)
