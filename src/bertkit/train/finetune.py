"""Fine-tuning: from a recipe to a finished run folder."""

from __future__ import annotations

import shutil
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bertkit.checkpoint.atomic import replace_folder
from bertkit.model.heads import Classifier
from bertkit.model.precision import Computing, choose_precision, flush_denormals
from bertkit.recipe import Recipe
from bertkit.train.explain import explain_mistakes
from bertkit.train.frozen import RowSource
from bertkit.train.listener import Listener, Plan
from bertkit.train.loop import StepRecord, run_steps
from bertkit.train.objectives import Classification
from bertkit.train.optimiser import build_optimiser, rates
from bertkit.train.prepare import Prepared, build_classifier, prepare
from bertkit.train.results import SeedResult, aggregate, write_json
from bertkit.train.runfolder import RESULT, check_run, open_run
from bertkit.train.seedrun import SeedRun

SECONDS_TO_ESTIMATE = 3.0


def finetune(
    recipe: Recipe, out: Path, *, resume: bool, overwrite: bool, listener: Listener
) -> dict[str, Any]:
    """Train one classifier a seed and leave a run folder at `out`.

    Args:
        recipe: what to do.
        out: the run folder to make.
        resume: continue the run that is there, with the same recipe.
        overwrite: replace what is there.
        listener: told of everything as it happens.

    Returns:
        What `result.json` holds.

    Raises:
        UserError: bad data or options, or something stands at `out` (see `check_run`, `open_run`).
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    flush_denormals()
    began = time.perf_counter()
    check_run(out, recipe, resume=resume, overwrite=overwrite)
    prepared = prepare(recipe)
    precision = choose_precision(recipe.training.precision)
    seeds = [recipe.training.seed + index for index in range(recipe.training.seeds)]
    rows = RowSource(prepared, recipe.model, precision, listener)
    plan = _plan(prepared, recipe, precision, rows)
    open_run(out, recipe, resume=resume, fingerprint=prepared.fingerprint, inputs=prepared.inputs)
    listener.planned(prepared.facts, plan)
    results = []
    for seed in seeds:
        folder = out if len(seeds) == 1 else out / f"seed-{seed}"
        folder.mkdir(exist_ok=True)
        if (done := SeedResult.read(folder)) is None:
            done = SeedRun(prepared, recipe, seed, folder, precision, plan.steps, rows, listener).run()
        results.append(done)
    result = _finish(out, recipe, prepared, plan, results, rows.seconds)
    result["wall_seconds"] = time.perf_counter() - began
    write_json(out / RESULT, result)
    listener.finished(result)
    return result


def _finish(
    out: Path,
    recipe: Recipe,
    prepared: Prepared,
    plan: Plan,
    seeds: list[SeedResult],
    seconds_before: float,
) -> dict[str, Any]:
    """Put the best seed's model where the run's is, and say what was found; see `aggregate`."""
    result = aggregate(prepared, plan.parameters, plan.precision, seeds, seconds_before)
    if len(seeds) > 1:
        with replace_folder(out / "model", overwrite=True) as temporary:
            shutil.copytree(out / f"seed-{result['best_seed']}" / "model", temporary, dirs_exist_ok=True)
    if result["calibration"] is not None:
        result["calibration"]["kept"] = recipe.training.temperature
        best = next(found for found in seeds if found.seed == result["best_seed"])
        explain_mistakes(out / "model", prepared, result["mistakes"], best.pieces)
    return result


def _plan(prepared: Prepared, recipe: Recipe, precision: Computing, rows: RowSource) -> Plan:
    torch.manual_seed(recipe.training.seed)
    classifier = build_classifier(prepared, recipe)
    inputs, seconds_before = rows.estimate(classifier)
    objective = Classification(inputs, prepared.train_labels, recipe.batch, recipe.training.seed)
    whole = objective.steps_per_epoch * recipe.training.epochs
    steps = min(whole, recipe.training.steps or whole)
    return Plan(
        parameters=sum(p.numel() for p in classifier.parameters()),
        trained=sum(p.numel() for p in classifier.parameters() if p.requires_grad),
        precision=precision,
        steps=steps,
        steps_per_epoch=objective.steps_per_epoch,
        seeds=recipe.training.seeds,
        expected_seconds=seconds_before
        + _seconds_a_step(classifier, objective, recipe, precision) * steps * recipe.training.seeds,
    )


def _seconds_a_step(
    classifier: Classifier, objective: Classification, recipe: Recipe, precision: Computing
) -> float:
    """Median time of a few real steps, but of one where that takes long; `classifier` is used up."""
    seconds: list[float] = []
    # At a rate of zero: nothing can diverge here that would not in the run itself.
    still = replace(recipe.optimiser, lr=0.0)

    def note(record: StepRecord) -> bool:
        seconds.append(record.seconds)
        return sum(seconds) > SECONDS_TO_ESTIMATE

    run_steps(
        classifier,
        objective,
        build_optimiser(classifier, still),
        rate=rates(min(4, objective.steps_per_epoch), still),
        clip=still.clip,
        start=0,
        seed=recipe.training.seed,
        precision=precision,
        after_step=note,
    )
    return statistics.median(seconds)
