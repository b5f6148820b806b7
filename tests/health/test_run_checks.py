"""The checks of runs: each finds the fault that is planted, and says nothing of a healthy run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bertkit.config import PRESETS, changed_preset
from bertkit.health.finding import Finding
from bertkit.health.finetune_checks import FINETUNE_CHECKS
from bertkit.health.history import (
    Evaluation,
    FinetuneHistory,
    HeldOut,
    Outcome,
    PretrainHistory,
    Scores,
    SeedHistory,
    Step,
)
from bertkit.health.pretrain_checks import PRETRAIN_CHECKS
from bertkit.health.run_checks import check_run
from bertkit.recipe import PretrainRecipe, Recipe

PRIOR = 0.607
"""Entropy of 30 and 70 %."""
EPOCHS = 4
STEPS = 25
"""An epoch."""


def names(run: FinetuneHistory | PretrainHistory) -> list[str]:
    return [finding.check for finding in check_run(run)]


def seed_of(
    losses: Sequence[float],
    *,
    dev: Sequence[float] = (0.59, 0.55, 0.54, 0.56),
    scores: Sequence[float] = (0.1, 0.28, 0.33, 0.32),
    norm: Callable[[int], float] = lambda _: 1.5,
    status: str | None = "learned",
    seed: int = 0,
    noise: float = 0.05,
) -> SeedHistory:
    """A seed whose training loss goes, an epoch each, in a straight line between `losses`."""
    chance = random.Random(seed)
    rate = 1e-4
    steps = []
    for step in range(1, STEPS * (len(losses) - 1) + 1):
        epoch, share = divmod(step - 1, STEPS)
        level = losses[epoch] + (losses[epoch + 1] - losses[epoch]) * share / STEPS
        steps.append(
            Step(
                step, step / STEPS, level + chance.gauss(0, noise), rate, norm(step), 2_000 + chance.random()
            )
        )
    evaluations = [
        Evaluation(STEPS * (i + 1), i + 1.0, loss, (losses[i] + losses[i + 1]) / 2, s, s - 0.09, s + 0.09)
        for i, (loss, s) in enumerate(zip(dev, scores, strict=True))
    ]
    best = max(evaluations, key=lambda each: each.score)
    outcome = Outcome(best.score, scores[-1], status, best.epoch, 99.0) if status else None
    broke = next((step.step for step in steps if math.isnan(step.loss)), None)
    return SeedHistory(seed, steps, evaluations, (), outcome, broke)


def finetuning(*seeds: SeedHistory, recipe: dict[str, Any] | None = None, **scores: Any) -> FinetuneHistory:
    """A run of CoLA's shares from trained weights; `scores` change what its result says."""
    changes = {"model": {"start": "some/folder"}, "training": {"epochs": EPOCHS}}
    changed = Recipe().with_changes(changes).with_changes(recipe or {})
    found = Scores("mcc", 0.33, 0.25, 0.41, math.nan, 0.0, 0.157, 527)
    return FinetuneHistory(changed, seeds, replace(found, **scores), PRIOR)


LEARNED = (0.64, 0.6, 0.48, 0.34, 0.26)
STUCK = (0.8, 0.61, 0.61, 0.61, 0.61)
ALIKE = {"dev": (0.61,) * 4, "scores": (0.0,) * 4, "status": "collapsed"}
NOTHING = {"score": 0.0, "low": 0.0, "high": 0.0}

HEALTHY_FINETUNING = {
    "one seed": finetuning(seed_of(LEARNED)),
    "several seeds": finetuning(*(seed_of(LEARNED, seed=i) for i in range(3)), deviation=0.02),
    "going on, early": replace(
        finetuning(seed_of(STUCK[:2], dev=(0.61,), scores=(0.0,), status=None)), scores=None
    ),
    "left the plateau late": finetuning(seed_of((0.69, 0.61, 0.61, 0.55, 0.45))),
    "not better than n-grams for sure": finetuning(seed_of(LEARNED), score=0.22, low=0.14, high=0.3),
    "of another kind": replace(finetuning(seed_of(LEARNED), majority=None, ngram=None), prior=None),
    "without a log": finetuning(SeedHistory(0, outcome=Outcome(0.3, 0.3, "learned", 2.0, 9.0))),
    "just begun": replace(finetuning(SeedHistory(0)), scores=None),
    "nothing begun": replace(finetuning(), scores=None),
}

BLOG = {
    "model": {"start": "blog", "options": {"hidden_dropout": 0.0}},
    "optimiser": {"name": "adam", "weight_decay": 0.0, "lr": 1e-3, "warmup": 0.0, "clip": 0.0},
    "batch": {"pad_to": 128, "shuffle": False, "by_length": False},
}

FAULTS_OF_FINETUNING = {
    "diverged": finetuning(seed_of((0.6, math.nan), dev=(0.6,), scores=(0.1,), status="diverged")),
    "stuck": finetuning(seed_of(STUCK, **ALIKE), **NOTHING, recipe=BLOG),
    "collapsed": finetuning(seed_of(LEARNED, **ALIKE), **NOTHING),
    "gradient-died": finetuning(
        seed_of(STUCK, **ALIKE, norm=lambda step: 3.3 if step < 9 else 4e-5), **NOTHING
    ),
    "no-better-than-majority": finetuning(seed_of(LEARNED, status="not learned"), score=0.05, low=-0.04),
    "no-better-than-ngram": finetuning(seed_of(LEARNED), score=0.12, low=0.05, high=0.2),
}


@pytest.mark.parametrize("name", HEALTHY_FINETUNING)
def test_nothing_is_said_of_a_healthy_fine_tuning(name: str) -> None:
    assert names(HEALTHY_FINETUNING[name]) == []


@pytest.mark.parametrize("check", FINETUNE_CHECKS, ids=lambda check: check.__name__)
def test_each_fault_of_a_fine_tuning_is_found(check: Callable[[FinetuneHistory], Finding | None]) -> None:
    name = check.__name__.replace("_", "-")
    assert name in names(FAULTS_OF_FINETUNING[name])


def test_a_fault_has_one_name() -> None:
    found = {name: names(run) for name, run in FAULTS_OF_FINETUNING.items()}
    assert found.pop("gradient-died") == ["stuck", "gradient-died"]
    assert found == {name: [name] for name in found}


def test_being_stuck_is_told_with_its_loss_its_causes_and_the_seeds() -> None:
    seeds = [seed_of(STUCK, **ALIKE, seed=0), seed_of(LEARNED, seed=1)]
    (finding,) = [f for f in check_run(finetuning(*seeds, recipe=BLOG)) if f.check == "stuck"]
    assert finding.weight == "grave"
    assert finding.seen.endswith(
        "at the end of 1 of 2 seeds (0); knowing only how often each label occurs gives 0.607."
    )
    for words in ("attention sees the padding", "0.001 without warm-up", "norms after the parts"):
        assert words in finding.means


def test_in_the_order_of_a_file_only_whole_epochs_are_judged() -> None:
    seed = seed_of(STUCK, **ALIKE)
    steps = [replace(step, loss=0.5) if step.step > 70 else step for step in seed.steps]
    run = finetuning(replace(seed, steps=steps), **NOTHING, recipe=BLOG)
    assert "stuck" in names(run)


def test_without_a_prior_a_loss_that_does_not_fall_is_stuck() -> None:
    flat = seed_of((0.61,) * 5, **ALIKE)
    assert "stuck" in names(replace(finetuning(flat, **NOTHING), prior=None))
    assert "stuck" not in names(replace(finetuning(seed_of(LEARNED)), prior=None))


# ---- pretraining


def pretraining(
    losses: Sequence[float],
    *,
    recipe: dict[str, Any] | None = None,
    through: int | None = 200,
    **more: Any,
) -> PretrainHistory:
    """A run of 1,000 steps; held-out text scored evenly over them."""
    changed = PretrainRecipe().with_changes({"training": {"steps": 1_000}}).with_changes(recipe or {})
    every = 1_000 // (len(losses) - 1)
    heldout = [HeldOut(i * every, loss) for i, loss in enumerate(losses)]
    chance = random.Random(7)
    steps = []
    for step in range(1, 1_001):
        low, high = losses[(step - 1) // every], losses[min((step - 1) // every + 1, len(losses) - 1)]
        level = low + (high - low) * ((step - 1) % every) / every
        steps.append(Step(step, step / 1_000, level + chance.gauss(0, 0.1), 1e-3, 1.5, 2_000.0))
    made = PretrainHistory(
        changed,
        steps,
        heldout,
        floors={"unigram": 6.9, "uniform": 9.0},
        through_at=through,
        finished=True,
        epochs=0.4,
        seconds=3_600.0,
    )
    return replace(made, **more)


FALLING = (9.4, 6.2, 5.5, 5.2, 5.0, 4.8, 4.5, 4.3, 4.15, 4.05, 4.0)
FLAT = (9.4, 7.1, 6.95, *(6.9,) * 8)

HEALTHY_PRETRAINING = {
    "an hour": pretraining(FALLING),
    "early on the plateau": pretraining(
        FLAT, through=None, finished=False, steps=pretraining(FLAT).steps[:150]
    ),
    "nothing logged": pretraining(FALLING, steps=(), heldout=(), through=None, finished=False),
    "nothing held out": pretraining(FALLING, heldout=()),
}

FAULTS_OF_PRETRAINING = {
    "diverged": pretraining(FALLING, finished=False, stopped="The loss rose suddenly from step 99 on."),
    "plateau": pretraining(FLAT, through=None),
}


@pytest.mark.parametrize("name", HEALTHY_PRETRAINING)
def test_nothing_is_said_of_a_healthy_pretraining(name: str) -> None:
    assert names(HEALTHY_PRETRAINING[name]) == []


@pytest.mark.parametrize("check", PRETRAIN_CHECKS, ids=lambda check: check.__name__)
def test_each_fault_of_a_pretraining_is_found(check: Callable[[PretrainHistory], Finding | None]) -> None:
    name = check.__name__.replace("_", "-")
    assert names(FAULTS_OF_PRETRAINING[name]) == [name]


# ---- both

PLANTED = {**FAULTS_OF_FINETUNING, **FAULTS_OF_PRETRAINING}


@pytest.mark.parametrize("start", ["tiny", "blog", "some/folder"])
@pytest.mark.parametrize("name", PLANTED)
def test_what_is_proposed_is_a_recipe_that_can_be_run(name: str, start: str) -> None:
    run = PLANTED[name]
    options = {"layers": 1} if start in PRESETS else {}
    run = replace(run, recipe=run.recipe.with_changes({"model": {"start": start, "options": options}}))
    found = check_run(run)
    assert found
    for finding in found:
        assert finding.changes
        for change in finding.changes:
            section, _, key = change.key.partition(".")
            if key.startswith("options."):
                assert start in PRESETS, "trained weights have no options but dropouts"
                value = {key.removeprefix("options."): change.value}
                changed_preset(start, value)
                assert getattr(PRESETS[start], key.removeprefix("options.")) != change.value
            elif change.key:
                changed = run.recipe.with_changes({section: {key: change.value}})
                assert changed != run.recipe, f"{change} changes nothing"
