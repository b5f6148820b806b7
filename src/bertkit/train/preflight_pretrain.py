"""Measures before a pretraining run: quick ones at the start of each, all of them for `bertkit doctor`."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from bertkit.data.steps import Masks, take
from bertkit.health.preflight import SECONDS, CorpusMeasures, Preflight
from bertkit.health.start import LossOf, measure_start, resident_memory
from bertkit.health.text import piece_measures
from bertkit.health.trials import Trial, clock, learn_by_heart, range_test
from bertkit.model.optimisers import build_optimiser
from bertkit.model.precision import Computing, choose_precision, flush_denormals
from bertkit.model.pretraining import Pretrainer, PretrainingBatch
from bertkit.recipe import PretrainRecipe
from bertkit.tasks.metrics import entropy
from bertkit.train.planning import seconds_a_step
from bertkit.train.preflight import (
    START_PIECES,
    TRIAL_PIECES,
    TRIAL_STEPS,
    activation_bytes,
    asked_of,
    cost_of,
    trial_rates,
)
from bertkit.train.processes import ALONE
from bertkit.train.restoring import Tally, as_batch, mean_loss
from bertkit.train.starting import Start, prepare_start

ASSUMED_STEPS = 1_000
"""Where a recipe does not say how long, which a run must but a look before it need not."""


def measure_pretraining(recipe: PretrainRecipe, start: Start, precision: Computing) -> Preflight:
    """The quick measures of a run that is about to begin, in one process; nothing of the run is touched.

    Args:
        recipe: what will be done.
        start: its model and steps; the weights stay.
        precision: of computing.
    """
    with torch.random.fork_rng(devices=[]):
        return _measure(recipe, start, start.objective.masks(0), precision, recipe.training.steps)


def preflight_pretraining(recipe: PretrainRecipe, *, seconds: float = SECONDS) -> Preflight:
    """All measures of a run in one process, with trials on a copy of its model; nothing is written.

    Args:
        recipe: what would be done. Without steps or a budget it is looked at as if it had some.
        seconds: of computing, for the trials: half for learning by heart, and what is left for the rates.

    Raises:
        UserError: bad shards or options, see `prepare_start`.
    """
    flush_denormals()
    precision = choose_precision(recipe.training.precision)
    how_long = recipe.training.steps or recipe.training.budget or recipe.training.replay
    if not how_long:
        recipe = recipe.with_changes({"training": {"steps": ASSUMED_STEPS}})
    base = resident_memory()
    with torch.random.fork_rng(devices=[]):
        start = prepare_start(recipe, ALONE)
        masks = start.objective.masks(0)
        began = clock()
        by_heart = learn_by_heart(
            _trial(recipe, start, masks, precision, TRIAL_PIECES),
            trial_rates(recipe.optimiser, TRIAL_STEPS),
            steps=TRIAL_STEPS,
            seconds=seconds / 2,
        )
        left = max(seconds / 2, seconds - (clock() - began))
        ranged = range_test(_trial(recipe, start, masks, precision, START_PIECES), seconds=left)
        parts = start.objective.batches(0)
        largest = max(parts, key=start.objective.pieces).batch
        activations = activation_bytes(start.model, _loss_of(largest), precision, times=1.0)
        # Of a copy: the last steps would leave their random numbers in the objective, not in the weights.
        a_step, _ = seconds_a_step(
            copy.deepcopy(start.model),
            start.objective,
            recipe.optimiser,
            seed=recipe.training.seed,
            precision=precision,
        )
        start.objective.tally = Tally()
        steps = _steps(recipe, start, a_step)
        found = _measure(recipe, start, masks, precision, steps)
    cost = cost_of(
        start.model,
        recipe.optimiser.name,
        activations=activations,
        base=base,
        seconds_a_step=a_step,
        steps=steps,
    )
    return replace(found, by_heart=by_heart, range_test=ranged, cost=cost)


def _measure(
    recipe: PretrainRecipe, start: Start, masks: Masks, precision: Computing, steps: int
) -> Preflight:
    shards, tokenizer = start.shards, start.shards.tokenizer
    config = start.model.encoder.config
    some = _some(masks, START_PIECES)
    pairs = math.log(2) if start.model.pair is not None else 0.0
    asked = asked_of(
        "pretrain",
        recipe.model,
        config,
        recipe.optimiser,
        fresh=start.start is None,
        steps=steps,
        max_length=recipe.batch.length,
        at_once=recipe.batch.at_once or recipe.batch.pieces,
    )
    return Preflight(
        asked=replace(asked, budget_minutes=recipe.training.budget),
        start=measure_start(
            start.model,
            _loss_of(some),
            some.inputs,
            uniform=math.log(tokenizer.size) + pairs,
            precision=precision,
        ),
        pieces=piece_measures(
            shards.counts,
            tokenizer,
            padding=1 - float(masks.sequences.lengths.mean()) / recipe.batch.length,
            visible_pads=0.0,
            truncated=0.0,
            unknown_words=[],
            capitals=_capitals(start),
        ),
        corpus=CorpusMeasures(
            documents=sum(entry.documents for entry in shards.entries),
            train_pieces=sum(entry.pieces for entry in shards.of("train")),
            heldout_pieces=sum(entry.pieces for entry in shards.of("heldout")),
            pieces_a_step=recipe.batch.pieces,
            epochs=start.objective.epochs(steps),
            unigram=start.unigram,
        ),
    )


def _some(masks: Masks, pieces: int) -> PretrainingBatch:
    """Sequences of a step, of all lengths, of about so many pieces together."""
    wanted = max(2, round(pieces / float(masks.sequences.lengths.mean())))
    count = len(masks.sequences)
    rows = np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))
    return as_batch(take(masks, rows))


def _loss_of(batch: PretrainingBatch) -> LossOf:
    def loss(model: nn.Module) -> torch.Tensor:
        assert isinstance(model, Pretrainer)
        return mean_loss(model, batch)

    return loss


def _trial(recipe: PretrainRecipe, start: Start, masks: Masks, precision: Computing, pieces: int) -> Trial:
    """Sequences of the first step, whose masked pieces stay the same."""
    batch = _some(masks, pieces)
    prior = entropy(np.bincount(batch.targets_M.numpy()))
    if batch.pairs_B is not None:
        prior += entropy(np.bincount(batch.pairs_B.numpy()))
    return Trial(
        copy=lambda: copy.deepcopy(start.model),
        loss=_loss_of(batch),
        optimiser=lambda model: build_optimiser(model, recipe.optimiser),
        batch=batch.inputs,
        prior_loss=prior,
        clip=recipe.optimiser.clip,
        precision=precision,
    )


def _steps(recipe: PretrainRecipe, start: Start, a_step: float) -> int:
    """Updates of the run: those asked for, or those that one process makes in the budget."""
    if recipe.training.budget:
        return max(1, round(recipe.training.budget * 60 / a_step))
    if start.replay is not None:
        return len(start.replay)
    return recipe.training.steps


def _capitals(start: Start) -> float:
    """Share of capitals among the letters of the corpus's pieces."""
    capitals = letters = 0
    for piece, count in zip(start.shards.tokenizer.vocabulary, start.shards.counts.tolist(), strict=True):
        if not (piece.startswith("[") and piece.endswith("]")):
            letters += count * sum(letter.isalpha() for letter in piece)
            capitals += count * sum(letter.isupper() for letter in piece)
    return capitals / max(1, letters)
