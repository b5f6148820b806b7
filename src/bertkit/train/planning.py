"""How long a run will be: its first seed's model, its steps, and the time of one."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import torch
from torch import nn

from bertkit.model.heads import Classifier
from bertkit.model.optimisers import build_optimiser
from bertkit.model.precision import Computing
from bertkit.recipe import OptimiserRecipe, Recipe
from bertkit.train.feature_cache import RowSource
from bertkit.train.listener import Plan
from bertkit.train.loop import Diverged, Objective, StepRecord, run_steps
from bertkit.train.objectives import Classification
from bertkit.train.prepare import Prepared, build_classifier
from bertkit.train.schedule import rates

SECONDS_TO_ESTIMATE = 3.0
STEPS_TO_ESTIMATE = 4


def first_seed(prepared: Prepared, recipe: Recipe) -> Classifier:
    """The classifier with which the first seed begins."""
    torch.manual_seed(recipe.training.seed)
    return build_classifier(prepared, recipe)


def count_steps(steps_per_epoch: int, recipe: Recipe) -> int:
    """Updates of one seed."""
    whole = steps_per_epoch * recipe.training.epochs
    return min(whole, recipe.training.steps or whole)


def make_plan(
    classifier: Classifier, prepared: Prepared, recipe: Recipe, precision: Computing, rows: RowSource
) -> Plan:
    """What a run of the recipe will be; a few steps are made with `classifier`, whose weights stay."""
    inputs, seconds_before = rows.estimate(classifier)
    objective = Classification(inputs, prepared.train_labels, recipe.batch, recipe.training.seed)
    steps = count_steps(objective.steps_per_epoch, recipe)
    seconds, broke = seconds_a_step(
        classifier,
        objective,
        recipe.optimiser,
        most=min(STEPS_TO_ESTIMATE, objective.steps_per_epoch),
        seed=recipe.training.seed,
        precision=precision,
    )
    return Plan(
        parameters=sum(p.numel() for p in classifier.parameters()),
        trained=sum(p.numel() for p in classifier.parameters() if p.requires_grad),
        precision=precision,
        steps=steps,
        steps_per_epoch=objective.steps_per_epoch,
        seeds=recipe.training.seeds,
        expected_seconds=seconds_before + seconds * steps * recipe.training.seeds,
        broke=str(broke) if broke else "",
    )


def seconds_a_step(
    model: nn.Module,
    objective: Objective,
    recipe: OptimiserRecipe,
    *,
    seed: int,
    precision: Computing,
    most: int = STEPS_TO_ESTIMATE,
) -> tuple[float, Diverged | None]:
    """Median time of up to `most` real steps of one process, but of fewer where that takes long.

    At a rate of zero: the weights stay, and who diverges here is broken before the first update. That is the
    second thing returned; the step that found it counts with the time that it took.
    """
    seconds: list[float] = []
    broke = None
    began = time.perf_counter()
    still = replace(recipe, lr=0.0)

    def note(record: StepRecord) -> bool:
        seconds.append(record.seconds)
        return sum(seconds) > SECONDS_TO_ESTIMATE

    try:
        run_steps(
            model,
            objective,
            build_optimiser(model, still),
            rate=rates(most, still),
            clip=still.clip,
            start=0,
            seed=seed,
            precision=precision,
            after_step=note,
        )
    except Diverged as error:
        broke = error
        seconds.append(time.perf_counter() - began - sum(seconds))
    return statistics.median(seconds), broke
